import type { Message } from '@aws-sdk/client-sqs';
import type { Queue } from '../../bin/queue/queue.ts';
import { receiveUpTo } from '../../bin/queue/receive.ts';
import { DATE_COLUMN, ID_COLUMN } from '../../lambda/events/declaration.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { withClient } from '../../lambda/postgres/connection.ts';

/** A row of the table. */
export interface Row {
  readonly user: string;
  /** `YYYY-MM-DD` */
  readonly date: string;
  /** JSON of the values of the declared columns and the event id. */
  readonly content: string;
}

export async function readRows(databaseUrl: string): Promise<Row[]> {
  const { table, columns } = loginEvents;
  const names = [...columns.map(({ column }) => column), ID_COLUMN];
  const user = columns.findIndex(({ column }) => column === 'user_id');
  const text = `SELECT ${DATE_COLUMN}::text, ${names.join(', ')} FROM ${table}`;
  const { rows } = await withClient({ kind: 'url', url: databaseUrl }, (client) =>
    client.query<[string, ...unknown[]]>({ text, rowMode: 'array' }),
  );
  return rows.map(([date, ...cells]) => ({
    user: String(cells[user]),
    date,
    content: JSON.stringify(cells),
  }));
}

const GROUP = 1_000;

/** Takes out every message, those too that come back from receivers that have gone. */
export async function takeAll(queue: Queue, signal: AbortSignal): Promise<Message[]> {
  const messages: Message[] = [];
  for (;;) {
    const received = await receiveUpTo(queue, GROUP, signal);
    signal.throwIfAborted();
    await queue.delete(received);
    messages.push(...received);
    const { visible, delayed, inFlight } = await queue.state();
    if (visible + delayed + inFlight === 0) return messages;
  }
}
