/** One of several writers at once, in a thread of its own: a handler and a bare COPY, each with its connection. */
import { parentPort, workerData } from 'node:worker_threads';
import { Client } from 'pg';
import { type BareCopy, bareCopy } from './bare-copy.ts';
import { GO, type Preparation, type WorkerTask } from './concurrent-protocol.ts';
import { freshBatch, type Handler, openHandler } from './database.ts';

const { databaseUrl } = workerData as WorkerTask;
const port = parentPort!;
const handler = openHandler(databaseUrl);
const [client, source] = [1, 2].map(() => new Client({ connectionString: databaseUrl }));
await Promise.all([client!.connect(), source!.connect()]);
const bare = bareCopy(client!, source!);
let write = async () => {};

port.on('message', async (message: Preparation | typeof GO) => {
  if (message === GO) {
    await write();
    port.postMessage('done');
  } else {
    write = await prepare(message, handler, bare);
    port.postMessage('ready');
  }
});

async function prepare(
  { way, rows, batches }: Preparation,
  { invoke }: Handler,
  { data, copy }: BareCopy,
): Promise<() => Promise<void>> {
  if (way === 'handler') {
    const events = Array.from({ length: batches }, () => freshBatch(rows));
    return async () => {
      for (const event of events) await invoke(event);
    };
  }
  const batchesOfRows: Buffer[] = [];
  while (batchesOfRows.length < batches) batchesOfRows.push(await data(rows, 'binary'));
  return async () => {
    for (const lines of batchesOfRows) await copy(lines, 'binary');
  };
}
