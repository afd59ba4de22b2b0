import { Client, type ClientBase } from 'pg';
import { startPostgres } from '../../bin/local/postgres.ts';
import type { Progress } from '../../bin/local/progress.ts';
import { type BenchDatabase, freshBatch, openDatabase } from './database.ts';
import { measure, type Round, type Rounds } from './rounds.ts';

export interface StageOptions {
  readonly rounds: number;
  /** Few and small, to see that everything runs. */
  readonly quick: boolean;
  /** Rows of a long history. */
  readonly history: number;
}

/** What benchmarks work with: a server that is as durable as one in production, and the rounds. */
export interface Stage extends StageOptions {
  readonly progress: Progress;
  readonly serverVersion: string;
  /** The records of a large batch: Lambda's most, or fewer where it has to be quick. */
  readonly largest: number;
  /** Rounds, and large batches before them, that make everything warm. */
  readonly warmUp: number;
  /** Those of the sizes that are not above it. */
  sizes(sizes: readonly number[]): number[];
  /** @param atMost rounds, for what takes long; few rounds have no warm-up */
  measure<K extends string>(
    label: string,
    ways: Readonly<Record<K, Round>>,
    atMost?: number,
  ): Promise<Record<K, number[]>>;
  /** Work on a migrated database of its own, dropped afterwards. */
  withDatabase<T>(
    work: (database: BenchDatabase) => Promise<T>,
    before?: (client: ClientBase) => Promise<void>,
  ): Promise<T>;
  close(): Promise<void>;
}

const LARGEST = 10_000;
const LARGEST_QUICK = 1_000;
const WARM_UP = 5;

export async function openStage(options: StageOptions, progress: Progress): Promise<Stage> {
  const { rounds, quick } = options;
  const postgres = await startPostgres({ durable: true });
  const admin = new Client({ connectionString: postgres.url });
  await admin.connect();
  const { rows } = await admin.query<{ server_version: string }>('SHOW server_version');
  const largest = quick ? LARGEST_QUICK : LARGEST;
  const warmUp = quick ? 1 : WARM_UP;
  let databases = 0;
  return {
    ...options,
    progress,
    serverVersion: rows[0]!.server_version,
    largest,
    warmUp,
    sizes: (sizes) => sizes.filter((size) => size <= largest),
    measure(label, ways, atMost = rounds) {
      const counted: Rounds = { rounds: Math.min(rounds, atMost), warmUp: atMost < rounds ? 0 : warmUp };
      return measure(label, ways, counted, progress);
    },
    async withDatabase(work, before) {
      const name = `bench_${++databases}`;
      await admin.query(`CREATE DATABASE ${name}`);
      const url = Object.assign(new URL(postgres.url), { pathname: name }).href;
      const database = await openDatabase(url, before);
      try {
        // A warm function is what runs in production: the compiler has seen large batches before small ones are measured.
        for (let i = 0; i < warmUp; i++) await database.invoke(freshBatch(largest));
        await database.empty();
        return await work(database);
      } finally {
        await database.close();
        await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
      }
    },
    async close() {
      await admin.end();
      await postgres.stop();
    },
  };
}
