import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  adopt,
  type Closed,
  closed as closedFrom,
  formatMemory,
  isNoticeDue,
  type Memory,
  mayClose,
  mustOpen,
  type Open,
  opened,
  parseMemory,
  probesNeeded,
  reportedMinutes,
} from '../../../lambda/breaker/circuit.ts';
import { VizardError } from '../../../lambda/errors.ts';
import { BREAKER_INITIAL_MEMORY } from '../../../lambda/names.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** On the minute. */
const NOON = Date.UTC(2026, 0, 1, 12);

const closed = (changes: Partial<Closed> = {}): Closed => ({
  state: 'closed',
  since: 0,
  reopenings: 0,
  toldAt: 0,
  ...changes,
});
const open = (changes: Partial<Open> = {}): Open => ({
  state: 'open',
  since: NOON,
  reopenings: 0,
  goodProbes: 0,
  enabledAt: 0,
  toldAt: NOON,
  ...changes,
});

describe('the minutes that count', () => {
  it.each([
    ['the last 15 where it has long been closed', 0, NOON, [-15, 0]],
    ['no minute that has not ended', 0, NOON + 59_999, [-15, 0]],
    ['none that began before it closed', NOON - 3 * MINUTE - 1, NOON, [-3, 0]],
    ['one that began when it closed', NOON - 3 * MINUTE, NOON, [-3, 0]],
    ['none right after it closed', NOON + 1, NOON + 59_999, [1, 0]],
  ])('are %s', (_, since, now, [from, to]) => {
    expect(reportedMinutes(closed({ since }), now)).toEqual([NOON + from! * MINUTE, NOON + to! * MINUTE]);
  });
});

describe('it opens', () => {
  const longAgo = NOON - HOUR;
  const justNow = NOON - HOUR + 1;

  it.each<[string, number, number[], boolean]>([
    ['when a quarter could store nothing in two minutes', longAgo, [0.25, 0.25], true],
    ['when minutes between went well', longAgo, [1, 0, 0, 0, 1, 0], true],
    ['not by one minute', longAgo, [1, 0, 0], false],
    ['not by less than a quarter', longAgo, [0.24, 0.24, 0.24, 1], false],
    ['not where nothing was tried', longAgo, [], false],
    ['by one minute soon after it closed', justNow, [0, 0.25], true],
    ['not soon after it closed where all goes well', justNow, [0, 0.24], false],
  ])('%s', (_, since, shares, expected) => {
    expect(mustOpen(closed({ since }), shares, NOON)).toBe(expected);
  });

  it.each([
    ['as for the first time, after an hour', HOUR, 3, 0],
    ['as once more, within an hour', HOUR - 1, 0, 1],
    ['as once more, each time', HOUR - 1, 3, 4],
  ])('%s', (_, after, reopenings, expected) => {
    const memory = opened(closed({ since: NOON - after, reopenings }), NOON);

    // Nobody knows yet.
    expect(memory).toEqual(open({ reopenings: expected, toldAt: 0 }));
  });
});

describe('it closes', () => {
  it.each([
    [0, 1],
    [1, 8],
    [2, 60],
    [3, 60],
    [1_000, 60],
  ])('opened again %i times: after %i good probes in a row', (reopenings, expected) => {
    expect(probesNeeded(open({ reopenings }))).toBe(expected);

    expect(mayClose(open({ reopenings, goodProbes: expected - 1 }))).toBe(false);
    expect(mayClose(open({ reopenings, goodProbes: expected }))).toBe(true);
  });

  it('and knows when, and how often it had opened again', () => {
    expect(closedFrom(open({ reopenings: 3, enabledAt: NOON - MINUTE }), NOON)).toEqual(
      closed({ since: NOON - MINUTE, reopenings: 3, toldAt: NOON }),
    );
  });
});

describe('without a memory of its own', () => {
  it.each([
    ['enabled', closed()],
    ['changing', closed()],
    ['disabled', open({ toldAt: 0 })],
  ] as const)('it takes a mapping that is %s for its own work', (mapping, expected) => {
    expect(adopt({ state: 'new' }, mapping, NOON)).toEqual(expected);
  });

  it('it is as it was otherwise', () => {
    expect(adopt(closed(), 'disabled', NOON)).toEqual(closed());
    expect(adopt(open(), 'enabled', NOON)).toEqual(open());
  });
});

it.each([
  [HOUR - 1, false],
  [HOUR, true],
])('people are told again after an hour: %i ms', (time, expected) => {
  expect(isNoticeDue(open({ goodProbes: 1 }), NOON + time)).toBe(expected);
});

describe('the memory', () => {
  const time = fc.date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true });
  const counts = { since: time.map(Number), reopenings: fc.nat(), toldAt: time.map(Number) };
  const memory: fc.Arbitrary<Memory> = fc.oneof(
    fc.constant({ state: 'new' as const }),
    fc.record({ state: fc.constant('closed' as const), ...counts }),
    fc.record({
      state: fc.constant('open' as const),
      ...counts,
      goodProbes: fc.nat(),
      enabledAt: time.map(Number),
    }),
  );

  it('is as it was when it is read again', () => {
    fc.assert(
      fc.property(memory, (memory) => {
        expect(parseMemory(formatMemory(memory), 'MEMORY')).toEqual(memory);
      }),
    );
  });

  it('has times that a person can read', () => {
    expect(formatMemory(open())).toBe(
      '{"state":"open","since":"2026-01-01T12:00:00.000Z","reopenings":0,"goodProbes":0,"enabledAt":"1970-01-01T00:00:00.000Z","toldAt":"2026-01-01T12:00:00.000Z"}',
    );
  });

  it.each<[string, Memory]>([
    [BREAKER_INITIAL_MEMORY, { state: 'new' }],
    ['{"state":"closed"}', closed()],
    ['{"state":"open"}', open({ since: 0, toldAt: 0 })],
    ['{"state":"closed","since":"now","reopenings":-1}', closed()],
  ])('may be written by hand: %s', (text, expected) => {
    expect(parseMemory(text, 'MEMORY')).toEqual(expected);
  });

  it.each(['', 'open', 'null', '[]', '{}', '{"state":"OPEN"}', '{"state":\n'])(
    'is not guessed: %j',
    (text) => {
      const parse = () => parseMemory(text, 'MEMORY');

      expect(parse).toThrow(VizardError);
      expect(parse).toThrow(
        `MEMORY: expected {"state":"new"}, "closed" or "open", got ${text.length} other characters; write one of them`,
      );
    },
  );
});
