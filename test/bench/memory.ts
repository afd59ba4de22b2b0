import { isDeepStrictEqual } from 'node:util';
import type { SQSRecord } from 'aws-lambda';
import { VizardError } from '../../lambda/errors.ts';
import { startEntryPoint } from '../support/lambda-process.ts';
import { KEYSET_JSON, loginEvent, record } from '../support/records.ts';
import { type Benchmark, count, type Figure } from './benchmark.ts';
import { spreadOf } from './statistics.ts';

const MEGABYTE = 1e6;
/** What an invocation carries at most. */
const BODIES = 6 * MEGABYTE;
const MILLISECONDS_AN_INVOCATION = 60_000;
const INVOCATIONS = [1, 5];
const PROCESSES = 5;

export const benchmark: Benchmark = {
  title:
    'peak resident memory of a process with the largest batches, above one that has only loaded the function',
  note: 'The peak of a process of its own, the JSON of the events and their parsing included, as in Lambda.',
  run: (stage) =>
    stage.withDatabase(async (database) => {
      const records = stage.largest;
      const peak = (invocations: number) => peakOf(database.url, records, invocations);
      const figures: Figure[] = [];
      for (const invocations of INVOCATIONS) {
        const sample: number[] = [];
        const processes = Math.min(stage.rounds, PROCESSES);
        stage.progress.begin(`processes of ${invocations} invocations`, processes);
        while (sample.length < processes) {
          await database.empty();
          const idle = await peak(0);
          sample.push(((await peak(invocations)) - idle) / MEGABYTE);
          stage.progress.advance(1);
        }
        stage.progress.end();
        figures.push({
          what: `${invocations} × ${count(records)} records with 6 MB of bodies`,
          unit: 'MB',
          value: spreadOf(sample),
          aim: { atMost: 256 },
        });
      }
      return figures;
    }),
};

/** Bytes. @throws VizardError where an invocation did not store its batch */
async function peakOf(databaseUrl: string, records: number, invocations: number): Promise<number> {
  const env = { DATABASE_URL: databaseUrl, MASKING_KEYSET: KEYSET_JSON };
  const { invoke, end } = startEntryPoint('handler', env, MILLISECONDS_AN_INVOCATION);
  for (let i = 0; i < invocations; i++) {
    const answer = await invoke({ Records: largestBatch(records) });
    if (!isDeepStrictEqual(answer, { response: { batchItemFailures: [] } })) {
      await end();
      throw new VizardError('expected every record to be stored; see what the handler answers to them');
    }
  }
  return (await end()).peakMemory;
}

function largestBatch(records: number): SQSRecord[] {
  return Array.from({ length: records }, () => {
    const body = JSON.stringify(loginEvent({ padding: '' }));
    const padding = 'x'.repeat(BODIES / records - body.length);
    return record(body.replace('"padding":""', `"padding":"${padding}"`));
  });
}
