import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseContext } from '../../../lib/context.ts';
import { ASSUMED, LIMIT, PRICE } from '../../bench/scaling-aws.ts';
import { withTables } from '../../bench/scaling-document.ts';
import type { Figures } from '../../bench/scaling-figures.ts';
import { DEFAULT_ACU, DEFAULTS, mostEvents } from '../../bench/scaling-model.ts';
import { limitsOf, recommend } from '../../bench/scaling-settings.ts';
import { TABLES } from '../../bench/scaling-tables.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const read = (name: string) => readFileSync(join(ROOT, name), 'utf8');
const figures = JSON.parse(read('docs/scaling.json')) as Figures;

describe('docs/scaling.md', () => {
  const document = read('docs/scaling.md');

  it('has the tables that the model gives for the figures of docs/scaling.json', () => {
    const tables = Object.fromEntries(Object.entries(TABLES).map(([name, print]) => [name, print(figures)]));

    expect(withTables(document, tables)).toBe(document);
  });

  it('names each table in its text, where the reader finds how to print it', () => {
    for (const name of Object.keys(TABLES)) expect(document).toContain(`\`${name}\``);
  });

  it('says how many login events fit into an invocation', () => {
    expect(document).toContain(`${mostEvents(DEFAULTS).toLocaleString('en')} fit`);
    expect(document).toContain(`${ASSUMED.recordBytes.toLocaleString('en')} bytes`);
  });
});

describe('the prices of the model', () => {
  it.each([
    ['a capacity unit', `× 730 h × ${PRICE.acuHour.toFixed(2)} `],
    ['calls of SQS', `300,000 × ${(PRICE.sqsCall * 1e6).toFixed(2)} a million`],
    ['Lambda', `GB × ${PRICE.lambdaGbSecond}`],
    ['I/O', `${(PRICE.io * 1e6).toFixed(2)} a million             |`],
    ['storage', `GB × ${PRICE.gbMonth.toFixed(2)} `],
  ])('of %s is the one of the README', (_what, price) => {
    expect(unaligned(read('README.md'))).toContain(unaligned(price));
  });
});

describe('the recommended settings', () => {
  const RATES = [1, 10, 100, 700, 1_000, 5_000, 10_000, 20_000, 50_000, 100_000];

  it.each(RATES)('receive %i events a second, and leave room for peaks', (rate) => {
    const { flow, settings, queues } = recommend(figures, rate);

    expect(settings.maxConcurrency * ASSUMED.messagesOfPoller * ASSUMED.busy).toBeGreaterThanOrEqual(
      flow.rate,
    );
    expect(flow.receivable).toBeGreaterThanOrEqual(flow.rate);
    expect(flow.inFlight).toBeLessThanOrEqual(LIMIT.inFlight * ASSUMED.busy);
    expect(flow.rate * queues).toBeCloseTo(rate);
  });

  it.each(RATES)('for %i events a second can be deployed', (rate) => {
    const { settings, minAcu, maxAcu } = recommend(figures, rate);
    const { batchSize, windowSeconds, maxConcurrency, memoryMb } = settings;
    const context = {
      batchSize,
      batchingWindowSeconds: windowSeconds,
      maxConcurrency,
      memoryMb,
      minAcu,
      maxAcu,
    };

    expect(parseContext(context)).toMatchObject({ batchSize, maxConcurrency, memoryMb });
  });

  it.each([1, 10, 100, 500])('are the defaults for %i events a second', (rate) => {
    expect(recommend(figures, rate)).toMatchObject({
      settings: DEFAULTS,
      queues: 1,
      minAcu: DEFAULT_ACU.min,
      maxAcu: DEFAULT_ACU.max,
      orderedIds: false,
    });
  });
});

it('the limits stand in the order in which they are met', () => {
  const rates = limitsOf(figures).map(({ rate }) => rate);

  expect(rates).toEqual(rates.toSorted((a, b) => a - b));
});

describe('writing the document', () => {
  it('replaces tables and leaves the text', () => {
    const document = 'text\n\n<!-- one -->\n| old |\n<!-- /one -->\n\n<!-- two -->\n<!-- /two -->\n\nmore\n';

    expect(withTables(document, { one: '| $1 |', two: '| 2 |' })).toBe(
      'text\n\n<!-- one -->\n| $1 |\n<!-- /one -->\n\n<!-- two -->\n| 2 |\n<!-- /two -->\n\nmore\n',
    );
  });

  it('wants a place for every table', () => {
    expect(() => withTables('text', { one: '' })).toThrow('expected <!-- one --> and <!-- /one -->');
  });
});

/** The formatter aligns tables. */
function unaligned(markdown: string): string {
  return markdown.replaceAll(/ +/g, ' ');
}
