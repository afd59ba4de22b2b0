import type { SQSRecord } from 'aws-lambda';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { loginEvent } from '../support/records.ts';
import { type Aim, type Benchmark, compared, count } from './benchmark.ts';
import { type BenchDatabase, freshBatch } from './database.ts';
import { intoEmpty } from './handler-round.ts';
import { type Round, timed } from './rounds.ts';

/** What the table's CHECK refuses. */
const REFUSED = 'refused';
const ONE_IN = 100;

type Bad = (i: number, rows: number) => boolean;

const spread: Bad = (i) => i % ONE_IN === ONE_IN / 2;
const cluster: Bad = (i, rows) => i >= rows / 2 && i < rows / 2 + rows / ONE_IN;

interface Case {
  readonly what: string;
  readonly aim: Aim;
  readonly bad: Bad;
  readonly event: Readonly<Record<string, unknown>>;
}

const CASES: Readonly<Record<'invalid' | 'spread' | 'cluster', Case>> = {
  invalid: {
    what: '1 % rejected by validation',
    aim: { atMost: 1.1 },
    bad: spread,
    event: loginEvent({ app_version: 'none' }),
  },
  spread: {
    what: '1 % refused by the database only, spread evenly',
    aim: { atMost: 3 },
    bad: spread,
    event: loginEvent({ user_id: REFUSED }),
  },
  cluster: {
    what: '1 % refused by the database only, in a row',
    aim: { atMost: 3 },
    bad: cluster,
    event: loginEvent({ user_id: REFUSED }),
  },
};

export const benchmark: Benchmark = {
  title: 'a batch with bad records ÷ a clean one',
  note: 'The table has the CHECK in each way.',
  run: (stage) =>
    stage.withDatabase(async (database) => {
      const rows = stage.largest;
      await database.client.query(
        `ALTER TABLE ${loginEvents.table} ADD CONSTRAINT refuse CHECK (user_id <> '${REFUSED}')`,
      );
      const took = await stage.measure('refused', {
        clean: round(database, rows),
        invalid: round(database, rows, CASES.invalid),
        spread: round(database, rows, CASES.spread),
        cluster: round(database, rows, CASES.cluster),
      });
      return (['invalid', 'spread', 'cluster'] as const).map((way) =>
        compared(
          { what: `${count(rows)}, ${CASES[way].what}`, milliseconds: took[way] },
          { what: 'clean', milliseconds: took.clean },
          { rows, aim: CASES[way].aim },
        ),
      );
    }),
};

function round(database: BenchDatabase, rows: number, bad?: Case): Round {
  return intoEmpty(database, async () => {
    const batch = freshBatch(rows).map((record, i): SQSRecord => {
      return bad?.bad(i, rows) ? { ...record, body: JSON.stringify(bad.event) } : record;
    });
    return timed(() => database.invoke(batch, bad === undefined ? 0 : rows / ONE_IN));
  });
}
