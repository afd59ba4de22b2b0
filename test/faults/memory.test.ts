import type { SQSRecord } from 'aws-lambda';
import { expect, it } from 'vitest';
import { useDatabase } from '../support/database.ts';
import { startEntryPoint } from '../support/lambda-process.ts';
import { KEYSET_JSON, record } from '../support/records.ts';
import { tell } from './figures.ts';
import { expectNothingPlanted, idsOf, planted, plantedRecord } from './planted.ts';

const database = useDatabase();

const MEBIBYTE = 2 ** 20;
/** Resident bytes that a Lambda function of 512 MB has. */
const LIMIT = 512 * MEBIBYTE;

/** A good record whose body has this many bytes. */
function recordOf(bytes: number): SQSRecord {
  const { body } = plantedRecord({ padding: '' });
  return record(body.replace('"padding":""', `"padding":"${'x'.repeat(bytes - body.length)}"`));
}

const many = (count: number, bytes: number) => Array.from({ length: count }, () => recordOf(bytes));

it.each<[name: string, batch: () => SQSRecord[], rejected: boolean]>([
  ['10,000 records of 600 bytes', () => many(10_000, 600), false],
  ['six records of a mebibyte', () => many(6, MEBIBYTE), false],
  ['one record of a mebibyte of [', () => [record('['.repeat(MEBIBYTE))], true],
])(
  '%s are answered in 512 MB, again and again, and by a process that lives',
  async (name, make, rejected) => {
    const { invoke, end } = startEntryPoint(
      'handler',
      { DATABASE_URL: database.url, MASKING_KEYSET: KEYSET_JSON },
      60_000,
    );
    const [first, second] = [make(), make()];
    const batches = [first, second, first];

    for (const batch of batches) {
      const failed = rejected ? idsOf(batch) : [];
      const response = { batchItemFailures: failed.map((itemIdentifier) => ({ itemIdentifier })) };
      expect(await invoke({ Records: batch })).toEqual({ response });
    }
    expect(await invoke({ Records: planted(3) })).toEqual({ response: { batchItemFailures: [] } });

    const { exitCode, output, peakMemory } = await end();
    tell(
      `${name}, twice, and the first ones again: ${Math.round(peakMemory / MEBIBYTE)} MiB resident at most`,
    );
    expect(exitCode).toBe(0);
    expectNothingPlanted(output);
    expect(peakMemory).toBeLessThan(LIMIT);
    expect(await database.count()).toBe(3 + (rejected ? 0 : first.length + second.length));
  },
);
