import { randomInt } from 'node:crypto';
import type { SQSRecord } from 'aws-lambda';
import { expect, it, vi } from 'vitest';
import { createRandom, type Random } from '../soak/random.ts';
import { useAwsServer } from '../support/aws-server.ts';
import { useDatabase } from '../support/database.ts';
import { record } from '../support/records.ts';
import { tell } from './figures.ts';
import type { Gauge } from './long-life-function.ts';
import { KEYSET_ARN, type LongLife, PASSWORD_ARN, sessionsOf, useLongLives } from './long-life-process.ts';
import { expectNothingPlanted, idsOf, planted, redelivered } from './planted.ts';
import { terminate } from './server-side.ts';

const database = useDatabase();
const aws = useAwsServer();
const { start, setPassword } = useLongLives(database, aws);

const INVOCATIONS = 2_000;
/** By then everything is loaded, compiled and cached. */
const WARM = 200;
/** The process is frozen after this one. */
const FROZEN = 1_050;
const MEBIBYTE = 2 ** 20;
/** Bytes for what V8 still learns of the code: half of it was seen. */
const LEARNED = 1.5 * MEBIBYTE;
/** Resident bytes that a Lambda function of 512 MB has. */
const LIMIT = 512 * MEBIBYTE;

/** Most batches are small; the largest has 10,000 records. */
function sizeOf(invocation: number, random: Random): number {
  if (invocation === WARM / 2) return 10_000;
  if (random.chance(0.01)) return random.integer(5_000, 10_000);
  return random.chance(0.05) ? random.integer(500, 2_000) : random.integer(1, 50);
}

interface Delivery {
  readonly batch: readonly SQSRecord[];
  readonly rejected: readonly string[];
}

/** What SQS hands out: mostly new messages, now and then one that is malformed, or some of the batch before. */
function deliver(fresh: readonly SQSRecord[], before: readonly SQSRecord[], random: Random): Delivery {
  const malformed = random.chance(0.05) ? [record('{}')] : [];
  const known = random.chance(0.08) ? before.slice(0, 500) : [];
  // A message that was received before says so, and one that somebody has sent twice does not.
  const again = random.chance(0.5) ? redelivered(known) : known;
  return { batch: [...fresh, ...malformed, ...again], rejected: idsOf(malformed) };
}

async function freeze({ whileFrozen, time }: LongLife): Promise<void> {
  await whileFrozen(async () => {
    // As the server does with a session that was idle for too long, and the clock with a token.
    await terminate(database);
    await setPassword('CANARY-SECOND');
  });
  await vi.waitFor(async () => expect(await time()).toBeGreaterThan(Date.now() + 9 * 60_000));
}

const mebibytes = (bytes: number) => `${(bytes / MEBIBYTE).toFixed(1)} MiB`;

function show(name: string, { heap, external, resident, session, resources, listeners }: Gauge): void {
  const active = Object.entries(resources).map(([kind, count]) => `${count} ${kind}`);
  tell(
    `${name}: heap ${mebibytes(heap)}, outside ${mebibytes(external)}, resident ${mebibytes(resident)}, server ${mebibytes(session)}; ${active.join(', ')}, ${listeners} listeners`,
  );
}

/** Fails where something has become more, be it a kibibyte an invocation. */
function expectNoGrowth(earlier: Gauge, later: Gauge): void {
  for (const memory of ['heap', 'external', 'session'] as const) {
    expect(later[memory], memory).toBeLessThan(earlier[memory] + LEARNED);
  }
  const counts = ({ resources, listeners, preparedStatements }: Gauge) => ({
    resources,
    listeners,
    preparedStatements,
  });
  expect(counts(later)).toEqual(counts(earlier));
}

const NAME =
  '2,000 invocations in one process, ten minutes frozen in between, need no more after the last than after the 200th';

it(NAME, { timeout: 180_000 }, async () => {
  const seed = Number(process.env.LONG_LIFE_SEED ?? randomInt(2 ** 32));
  const random = createRandom(seed);
  tell(`seed ${seed}; LONG_LIFE_SEED=${seed} replays this run`);
  await setPassword('CANARY-FIRST');
  const life = start();
  const gauges: Gauge[] = [];
  let stored = 0;
  let before: readonly SQSRecord[] = [];

  for (let invocation = 1; invocation <= INVOCATIONS; invocation++) {
    const fresh = planted(sizeOf(invocation, random));
    const { batch, rejected } = deliver(fresh, before, random);
    expect(await life.invoke(batch)).toEqual(rejected);
    stored += fresh.length;
    before = fresh;
    if (invocation === FROZEN) await freeze(life);
    if (invocation % WARM !== 0) continue;
    gauges.push(await life.gauge());
    expect(await sessionsOf(database)).toBe(1);
  }

  const { exitCode, output, peakMemory } = await life.end();
  const [first, middle, afterwards, last] = [200, 1_000, 1_200, 2_000].map((invocation) => {
    const gauge = gauges[invocation / WARM - 1]!;
    show(`after ${invocation}`, gauge);
    return gauge;
  });
  tell(`${stored} rows, ${mebibytes(peakMemory)} resident at most`);
  expectNoGrowth(first!, last!);
  // The server's session is another one after the freeze.
  expectNoGrowth(first!, middle!);
  expectNoGrowth(afterwards!, last!);
  expect(peakMemory).toBeLessThan(LIMIT);
  expect(exitCode).toBe(0);
  expectNothingPlanted(output);
  expect(output).not.toContain('Warning');
  expect(await database.count()).toBe(stored);
  const asked = (arn: string) => aws.requests.filter((request) => request.endsWith(arn)).length;
  expect([asked(PASSWORD_ARN), asked(KEYSET_ARN)]).toEqual([2, 2]);
});
