import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A way to the database that a test can make silent, as a network that drops packets is. */
export interface Proxy {
  /** Of the database, through the proxy. */
  readonly url: string;
  close(): void;
}

/** @param isSilent whether nothing is passed on now, either way, on the connection of this number, the first being 0 */
export async function startProxy(
  databaseUrl: string,
  isSilent: (connection: number) => boolean,
): Promise<Proxy> {
  const target = new URL(databaseUrl);
  const sockets: Socket[] = [];
  let connections = 0;
  const server = createServer((socket) => {
    const connection = connections++;
    const upstream = connect(Number(target.port), target.hostname);
    const pass = (from: Socket, to: Socket) => {
      sockets.push(from);
      from.on('error', () => {});
      from.on('data', (data) => isSilent(connection) || to.write(data));
      from.on('end', () => isSilent(connection) || to.end());
    };
    pass(socket, upstream);
    pass(upstream, socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: Object.assign(new URL(databaseUrl), { port: String(port) }).href,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
