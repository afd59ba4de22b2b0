import { describe, expect, it } from 'vitest';
import { type Aim, compared, type Figure, isMet } from '../../bench/benchmark.ts';
import { type Report, renderJson, renderText } from '../../bench/report.ts';
import { spreadOf } from '../../bench/statistics.ts';

/** A quarter of the rounds was disturbed, in both ways alike. */
const handler = { what: 'handler', milliseconds: [12, 12, 120, 12] };
const copy = { what: 'bare COPY', milliseconds: [10, 10, 100, 10] };

const memory = (median: number, aim?: Aim): Figure => ({
  what: 'memory',
  unit: 'MB',
  value: spreadOf([median]),
  ...(aim && { aim }),
});

const report: Report = {
  machine: {
    cpu: 'a processor',
    cores: 2,
    memory: 8,
    platform: 'linux x64',
    node: 'v24.0.0',
    postgres: '18.4',
    load: [0.5, 1.5],
  },
  rounds: 4,
  quick: false,
  benchmarks: [
    {
      name: 'batches',
      title: 'handler ÷ COPY',
      seconds: 3,
      figures: [compared(handler, copy, { rows: 1_200, aim: { atMost: 1.1 } })],
    },
    { name: 'memory', title: 'peak', seconds: 1, figures: [memory(200, { atMost: 256 }), memory(1_234)] },
  ],
};

describe('an aim', () => {
  it.each<[figure: Figure, met: boolean | undefined]>([
    [memory(256, { atMost: 256 }), true],
    [memory(257, { atMost: 256 }), false],
    [memory(10, { atLeast: 10 }), true],
    [memory(9, { atLeast: 10 }), false],
    [memory(9), undefined],
    [compared(handler, copy, { aim: { atMost: 1.2 } }), true],
    [compared(handler, copy, { aim: { atMost: 1.1 } }), false],
  ])('is of the ratio where there is a base, else of the value (%#)', (figure, met) => {
    expect(isMet(figure)).toBe(met);
  });
});

describe('the report', () => {
  it('for people says what ÷ what, medians, quartiles, the aim and whether it is met', () => {
    const cells = renderText(report)
      .split('\n')
      .map((line) => line.split('│').map((cell) => cell.trim()));

    expect(cells).toContainEqual([
      '',
      'handler',
      '12.0 (12.0–39.0) ms',
      '100,000',
      'bare COPY',
      '10.0 (10.0–32.5) ms',
      '1.20 (1.20–1.20)',
      '≤ 1.1',
      'not met',
      '',
    ]);
    expect(cells).toContainEqual(['', 'memory', '200 (200–200) MB', '≤ 256', 'met', '']);
    expect(cells).toContainEqual(['', 'memory', '1,234 (1,234–1,234) MB', '', '', '']);
  });

  it('for programs is one line with every figure', () => {
    const json = renderJson(report);

    expect(json).not.toContain('\n');
    expect(JSON.parse(json)).toMatchObject({
      machine: { cores: 2, postgres: '18.4' },
      rounds: 4,
      benchmarks: [
        {
          name: 'batches',
          figures: [
            {
              value: { lower: 12, median: 12, upper: 39 },
              base: { what: 'bare COPY', value: { median: 10 }, ratio: { median: 1.2 } },
              aim: { atMost: 1.1 },
              met: false,
            },
          ],
        },
        { name: 'memory', figures: [{ met: true }, { what: 'memory' }] },
      ],
    });
  });
});
