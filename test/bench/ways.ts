import { createHmac, createSecretKey } from 'node:crypto';
import type { SQSRecord } from 'aws-lambda';
import type { ClientBase } from 'pg';
import { withClient } from '../../lambda/postgres/connection.ts';
import { type Benchmark, compared, count, type Figure } from './benchmark.ts';
import { type BenchDatabase, freshBatch } from './database.ts';
import { handlerRound, intoEmpty } from './handler-round.ts';
import { type Round, timed } from './rounds.ts';
import type { Stage } from './stage.ts';
import {
  copyAndMerge,
  multiRowValues,
  oneTransaction,
  type Row,
  rowByRow,
  unnestArrays,
  type Way,
} from './ways-sql.ts';

/** Rounds of the ways that take seconds. */
const SLOW_ROUNDS = 3;

const SLOW: Readonly<Record<string, Way>> = {
  'row by row, each committed': rowByRow,
  'row by row, one transaction': oneTransaction,
};
const FAST: Readonly<Record<string, Way>> = {
  'VALUES of 1,000 rows': multiRowValues,
  "unnest with pg's arrays": unnestArrays,
  'COPY to a temporary table, then INSERT … SELECT': copyAndMerge,
};

export const benchmark: Benchmark = {
  title: 'what people write: parse, createHmac (KeyObject) for each value, write ÷ the handler',
  note: 'All of them leave out what is there already (ON CONFLICT DO NOTHING); none validates.',
  run: (stage) =>
    stage.withDatabase((database) =>
      withClient(database.login, async (client) => [
        ...(await compareWays(stage, database, client, SLOW, SLOW_ROUNDS)),
        ...(await compareWays(stage, database, client, FAST, stage.rounds)),
      ]),
    ),
};

async function compareWays(
  stage: Stage,
  database: BenchDatabase,
  client: ClientBase,
  ways: Readonly<Record<string, Way>>,
  rounds: number,
): Promise<Figure[]> {
  const rows = stage.largest;
  const others = Object.entries(ways).map(([name, write]) => [
    name,
    intoEmpty(database, wayRound(client, write, rows)),
  ]);
  const { handler, ...took } = await stage.measure<string>(
    `ways of writing ${count(rows)} rows`,
    {
      handler: intoEmpty(database, handlerRound(database, { rows, batches: 1 })),
      ...Object.fromEntries(others),
    },
    rounds,
  );
  const base = { what: 'handler', milliseconds: handler! };
  return Object.entries(took).map(([what, milliseconds]) => compared({ what, milliseconds }, base, { rows }));
}

function wayRound(client: ClientBase, write: Way, rows: number): Round {
  return async () => {
    const batch = freshBatch(rows);
    return timed(() => write(client, batch.map(maskedRow)));
  };
}

const KEY = createSecretKey(Buffer.alloc(32, 1));

function token(domain: string, value: string): string {
  return `h1~k1~${createHmac('sha256', KEY).update(domain).update('\0').update(value).digest('base64url')}`;
}

/** The event as a row, as short as one can write it. */
function maskedRow({ body, messageId, attributes }: SQSRecord): Row {
  const { user_id, device_type, ip, device_id, locale, app_version } = JSON.parse(body) as Record<
    string,
    string
  >;
  const [major, minor = 0, patch = 0] = app_version!.split('.').map(Number);
  return [
    user_id!,
    device_type!,
    token('ip', ip!),
    token('device_id', device_id!),
    locale ?? null,
    major! * 1_000_000 + minor * 1_000 + patch,
    new Date(Number(attributes.SentTimestamp)).toISOString().slice(0, 10),
    messageId,
  ];
}
