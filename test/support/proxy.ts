import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/**
 * How bytes are passed: at once; not at all, while connections are accepted, as a network that loses packets does; one
 * byte a second in each direction; or at once, while new connections are reset.
 */
export type Behaviour = 'pass' | 'stall' | 'drip' | 'refuse';

/** A way to the database that a test can disturb. What it does not pass on it keeps, as TCP does. */
export interface Proxy {
  /** Of the database, through the proxy. */
  readonly url: string;
  /** Where new connections lead from now on. */
  lead(databaseUrl: string): void;
  /** How bytes are passed from now on, on new and open connections. */
  behave(behaviour: Behaviour): void;
  /** Resets every open connection. @returns how many */
  cut(): number;
  /** Keeps the next message with these bytes from the server, and what follows it on its connection. Not by TLS. */
  hold(message: string | Buffer): Promise<HeldMessage>;
  close(): void;
}

/** A message that the client has sent and the server has not got. */
export interface HeldMessage {
  /** It and what has followed it so far, a character for each byte. */
  text(): string;
  pass(): void;
  /** Passes it on, and resets the connection when the server has ended its transaction, in place of the answer. */
  loseAnswer(): Promise<void>;
}

/** The end of a binary COPY, and the message that says so: the server has all rows, but not yet this word to store them. */
export const END_OF_ROWS = Buffer.from('\xff\xffc\0\0\0\x04', 'latin1');
/** ReadyForQuery, outside a transaction. */
const READY = Buffer.from('Z\0\0\0\x05I', 'latin1');

/** Milliseconds between two bytes that drip. */
const DRIP = 1_000;

export async function startProxy(databaseUrl: string): Promise<Proxy> {
  let target = new URL(databaseUrl);
  let behaviour: Behaviour = 'pass';
  const connections = new Set<Connection>();
  const holds: Hold[] = [];
  const server = createServer((client) => {
    if (behaviour === 'refuse') {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect(Number(target.port), target.hostname);
    const connection = join(client, upstream, () => behaviour, holds);
    connections.add(connection);
    client.on('close', () => upstream.destroyed && connections.delete(connection));
    upstream.on('close', () => client.destroyed && connections.delete(connection));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const drip = setInterval(() => {
    if (behaviour === 'drip') for (const { pump } of connections) pump(1);
  }, DRIP);
  const { port } = server.address() as AddressInfo;

  function cut(): number {
    const open = [...connections];
    connections.clear();
    for (const { reset } of open) reset();
    return open.length;
  }

  return {
    url: Object.assign(new URL(databaseUrl), { port: String(port) }).href,
    lead(url) {
      target = new URL(url);
    },
    behave(wanted) {
      behaviour = wanted;
      for (const { pump } of connections) pump();
    },
    cut,
    hold: (message) => new Promise((resolve) => holds.push({ message, resolve })),
    close() {
      clearInterval(drip);
      cut();
      server.close();
    },
  };
}

interface Hold {
  readonly message: string | Buffer;
  resolve(held: HeldMessage): void;
}

interface Connection {
  /** Passes on what waits, as far as the proxy's behaviour lets it. @param bytes in each direction at most */
  pump(bytes?: number): void;
  reset(): void;
}

function join(client: Socket, upstream: Socket, behaviour: () => Behaviour, holds: Hold[]): Connection {
  const reset = () => {
    client.resetAndDestroy();
    upstream.resetAndDestroy();
  };
  /** What the client has sent from a held message on; undefined while nothing is held. */
  let held: Buffer[] | undefined;

  function toServer(data: Buffer): void {
    const index = holds.findIndex(({ message }) => data.includes(message));
    const [hold] = held === undefined && index >= 0 ? holds.splice(index, 1) : [];
    if (hold !== undefined) {
      held = [];
      hold.resolve({ pass, loseAnswer, text: () => Buffer.concat(held ?? []).toString('latin1') });
    }
    if (held === undefined) upstream.write(data);
    else held.push(data);
  }

  function pass(): void {
    const waiting = held ?? [];
    held = undefined;
    for (const data of waiting) upstream.write(data);
  }

  async function loseAnswer(): Promise<void> {
    back.stop();
    pass();
    let answer = Buffer.alloc(0);
    while (!answer.includes(READY)) {
      await once(upstream, 'readable');
      answer = Buffer.concat([answer, (upstream.read() as Buffer | null) ?? Buffer.alloc(0)]);
    }
    reset();
  }

  const there = direct(client, upstream, behaviour, toServer);
  const back = direct(upstream, client, behaviour, (data) => client.write(data));
  return {
    pump(bytes) {
      there.pump(bytes);
      back.pump(bytes);
    },
    reset,
  };
}

interface Direction {
  pump(bytes?: number): void;
  /** Passes nothing more, whatever the behaviour. */
  stop(): void;
}

/** One direction. Nothing is read that is not passed on, so that the sender's buffers fill as on a network. */
function direct(
  from: Socket,
  to: Socket,
  behaviour: () => Behaviour,
  forward: (data: Buffer) => void,
): Direction {
  let stopped = false;
  const passes = () => !stopped && (behaviour() === 'pass' || behaviour() === 'refuse');
  const pump = (bytes?: number) => {
    if (stopped || (bytes === undefined && !passes())) return;
    const data: Buffer | null = from.read(bytes);
    if (data !== null) forward(data);
    if (passes() && from.readableEnded) to.end();
    if (passes() && from.destroyed) to.destroySoon();
  };
  for (const event of ['readable', 'end', 'close']) from.on(event, () => pump());
  from.on('error', () => {});
  return {
    pump,
    stop() {
      stopped = true;
    },
  };
}
