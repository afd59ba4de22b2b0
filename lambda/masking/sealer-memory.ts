/** Tokens whose values are in the vault, as far as is known without asking it. */
export interface SealerMemory {
  has(token: string): boolean;
  /** What was committed. */
  add(tokens: Iterable<string>): void;
  clear(): void;
  /** Clears it where the connection is another than before: what it leads to may be another database. */
  connected(connection: object): void;
}

export interface SealerMemoryOptions {
  /** Most tokens. A token takes about 160 bytes. @default 200000 */
  readonly size?: number;
  /**
   * Milliseconds for which a token is kept at most: a value that was erased is sealed again where it comes back later.
   * @default 300000
   */
  readonly lifetime?: number;
}

const SIZE = 200_000;
/** As long as a keyset is kept. */
const LIFETIME = 300_000;

/**
 * Keeps tokens for half of the lifetime at least, unless there are too many: they are in two generations, of which the
 * older is dropped as a whole.
 */
export function createSealerMemory({
  size = SIZE,
  lifetime = LIFETIME,
}: SealerMemoryOptions = {}): SealerMemory {
  let young = new Set<string>();
  let old = new Set<string>();
  let since = Date.now();
  let connection: WeakRef<object> | undefined;

  /** What is young becomes old. @param from when it did */
  function age(from: number): void {
    old = young;
    young = new Set();
    since = from;
  }

  function clear(): void {
    old.clear();
    young.clear();
  }

  function expire(): void {
    const now = Date.now();
    // A clock that was set back must not prolong anything.
    if (now < since || now >= since + lifetime) {
      clear();
      since = now;
    } else if (now >= since + lifetime / 2) age(since + lifetime / 2);
  }

  return {
    has(token) {
      expire();
      return young.has(token) || old.has(token);
    },
    add(tokens) {
      expire();
      for (const token of tokens) {
        if (young.size >= size / 2) age(Date.now());
        young.add(token);
      }
    },
    clear,
    connected(now) {
      if (connection?.deref() === now) return;
      connection = new WeakRef(now);
      clear();
    },
  };
}
