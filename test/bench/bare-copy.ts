import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import type { ClientBase } from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { columnNames, ID_COLUMN } from '../../lambda/events/declaration.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { type BenchDatabase, freshBatch } from './database.ts';

/** Masked rows that the handler has stored, for COPY to take them again. */
const SOURCE = 'copy_source';
const names = columnNames(loginEvents);
const columns = names.join(', ');
/** Under fresh ids, so that they are no duplicates. */
const rows = `SELECT ${names.map((name) => (name === ID_COLUMN ? 'gen_random_uuid()' : name)).join(', ')} FROM ${SOURCE}`;
/** All of it may wait in memory: nothing is faster than one write. */
const NO_BACK_PRESSURE = { highWaterMark: 64 * 1024 * 1024 };

/** Binary is what the server parses fastest; text is what people write. */
export type CopyFormat = 'text' | 'binary';

/** What Postgres needs to take rows, with nothing before and after: the limit that the handler is held against. */
export interface BareCopy {
  /** Rows as COPY takes them, with fresh ids; written by the server, so nothing of ours has a part in it. */
  data(count: number, format: CopyFormat): Promise<Buffer>;
  /** One COPY, in a transaction of its own. */
  copy(data: Buffer, format: CopyFormat): Promise<void>;
}

/** Keeps `count` masked rows in the database, for `bareCopy`. The table is empty afterwards. */
export async function keepRows(database: BenchDatabase, count: number): Promise<void> {
  await database.empty();
  await database.invoke(freshBatch(count));
  await database.client.query(`DROP TABLE IF EXISTS ${SOURCE}`);
  await database.client.query(`CREATE TABLE ${SOURCE} AS TABLE ${loginEvents.table}`);
  await database.empty();
}

/**
 * @param client of a database whose rows are kept
 * @param source another connection to it, by which the data is made: a session that has just read the rows is warmer than
 *   the handler's
 */
export function bareCopy(client: ClientBase, source: ClientBase): BareCopy {
  return {
    data: (count, format) =>
      buffer(source.query(copyTo(`COPY (${rows} LIMIT ${count}) TO STDOUT (FORMAT ${format})`))),
    async copy(data, format) {
      const statement = `COPY ${loginEvents.table} (${columns}) FROM STDIN (FORMAT ${format})`;
      const stream = client.query(copyFrom(statement, NO_BACK_PRESSURE));
      stream.end(data);
      await once(stream, 'finish');
    },
  };
}
