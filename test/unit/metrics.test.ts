import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DatabaseFailure, KeysetFailure, VizardError } from '../../lambda/errors.ts';
import type { BatchReport } from '../../lambda/ingest.ts';
import { createBreakerMetrics, createMetrics, createRetentionMetrics } from '../../lambda/metrics.ts';

const REPORT: BatchReport = {
  received: 3,
  stored: 0,
  duplicates: 0,
  rejected: [],
  retried: ['MESSAGE-ID-1', 'MESSAGE-ID-2'],
  unreachable: undefined,
  lag: undefined,
  milliseconds: { keyset: 0.12345, parse: 1, mask: 2, write: 3 },
};

/** What is written to standard output, where the embedded metric format belongs. */
let written: string[];

beforeEach(() => {
  written = [];
  vi.stubEnv('POWERTOOLS_SERVICE_NAME', 'logins');
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => written.push(String(text)) > 0);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

function published(): Record<string, unknown>[] {
  return written.map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('metrics', () => {
  it('say that the database took nothing of a batch, beside what else is known of it', () => {
    createMetrics().batch({ ...REPORT, unreachable: 'connection_lost' });

    expect(published()).toMatchObject([
      { service: 'logins', BatchSize: 3, Retried: 2, DatabaseUnreachable: 1 },
    ]);
  });

  it('do not say so of a batch that was handed back for another reason', () => {
    const metrics = createMetrics();

    metrics.batch({ ...REPORT, unreachable: 'connection_lost' });
    metrics.batch(REPORT);

    expect(published()[1]).not.toHaveProperty('DatabaseUnreachable');
  });

  it.each<[string, Partial<BatchReport>, number]>([
    ['nothing is stored and something comes again', {}, 1],
    ['something is stored, though not all', { stored: 1 }, 0],
    ['all was there already', { retried: [], duplicates: 3 }, 0],
  ])('say whether an invocation was blocked: %s', (_name, changes, blocked) => {
    createMetrics().batch({ ...REPORT, ...changes });

    expect(published()[0]).toMatchObject({ Blocked: blocked });
  });

  it('say nothing of being blocked where all messages are bad, because the database had nothing to take', () => {
    createMetrics().batch({ ...REPORT, retried: [] });

    expect(published()[0]).not.toHaveProperty('Blocked');
  });

  it('hold no message ids, and times to a hundredth of a millisecond', () => {
    const rejection = { messageId: 'MESSAGE-ID-3', field: 'FIELD', code: '23514' };

    createMetrics().batch({ ...REPORT, rejected: [rejection, rejection] });

    expect(written.join('')).not.toMatch(/MESSAGE-ID|FIELD/);
    expect(published()).toMatchObject([
      { KeysetTime: 0.12, Rejected: 2 },
      { Rejected: 2, code: '23514' },
    ]);
  });

  it.each([
    [new DatabaseFailure('away', 'ECONNREFUSED'), { DatabaseUnreachable: 1, Blocked: 1 }],
    [new KeysetFailure('away', 'TimeoutError'), { KeysetUnreachable: 1, Blocked: 1 }],
  ])('name what failed: %s', (error, expected) => {
    createMetrics().failed(error);

    expect(published()).toMatchObject([expected]);
  });

  it('leave other errors to the metrics of Lambda', () => {
    createMetrics().failed(new VizardError('unexpected'));

    expect(written).toEqual([]);
  });
});

describe('metrics of the circuit breaker', () => {
  it.each([
    [{ stopped: false, opened: false, closed: false }, { Stopped: 0 }],
    [
      { stopped: true, opened: true, closed: false },
      { Stopped: 1, BreakerOpened: 1 },
    ],
    [
      { stopped: false, opened: false, closed: true },
      { Stopped: 0, BreakerClosed: 1 },
    ],
  ])('say every minute whether messages are received: %j', (tick, expected) => {
    createBreakerMetrics()(tick);

    const [{ _aws, ...values } = {}] = published();
    expect(values).toEqual({ service: 'logins', ...expected });
  });
});

describe('metrics of the partitions', () => {
  it('say every hour how many days ahead there are, and how many were dropped or came too late, be it none', () => {
    createRetentionMetrics()({ ahead: 8, dropped: 0, expiredRows: 0 });

    const [{ _aws, ...values } = {}] = published();
    expect(values).toEqual({
      service: 'logins',
      PartitionsAhead: 8,
      PartitionsDropped: 0,
      ExpiredRows: 0,
    });
  });
});
