import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** What stands between a command and the database, as far as a pooler of connections can be told by it. */
export interface Pooler {
  /** Of the database, through the pooler. */
  readonly url: string;
  /** All that commands have sent, a character for each byte. */
  sent(): string;
  close(): void;
}

/** The beginning of BackendKeyData: its type and its length; the process follows. */
const BACKEND_KEY_DATA = Buffer.from('K\0\0\0\x0c', 'latin1');

/** Gives each connection a session of its own, and names another process at its start, as poolers do. Not by TLS. */
export async function startPooler(databaseUrl: string): Promise<Pooler> {
  const { hostname, port } = new URL(databaseUrl);
  const sent: Buffer[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => other.destroy());
    }
    client.on('data', (data: Buffer) => {
      sent.push(data);
      upstream.write(data);
    });
    upstream.on('data', (data: Buffer) => client.write(withOtherProcess(data)));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: Object.assign(new URL(databaseUrl), { port: String((server.address() as AddressInfo).port) }).href,
    sent: () => Buffer.concat(sent).toString('latin1'),
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

function withOtherProcess(data: Buffer): Buffer {
  const start = data.indexOf(BACKEND_KEY_DATA);
  if (start < 0) return data;
  const at = start + BACKEND_KEY_DATA.length;
  const changed = Buffer.from(data);
  changed.writeInt32BE(changed.readInt32BE(at) + 1, at);
  return changed;
}
