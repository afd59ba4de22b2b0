/** A person's or the system's wish that we end. */
export interface StopRequest {
  readonly signal: AbortSignal;
  /** 128 + the signal's number when a stop was asked for, else 0. */
  exitCode(): number;
  /** Gives the terminal back. */
  release(): void;
}

const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/**
 * Listens for SIGINT, SIGTERM, SIGHUP and, on a terminal, any key.
 *
 * @param keys false where standard input is read for something else
 */
export function onStopRequest({ keys }: { keys: boolean }): StopRequest {
  const controller = new AbortController();
  let exitCode = 0;
  const stop = (code: number) => {
    exitCode ||= code;
    controller.abort();
  };
  const listeners = Object.entries(SIGNALS).map(([name, code]) => [name, () => stop(code)] as const);
  for (const [name, listener] of listeners) process.on(name, listener);
  const terminal = keys && process.stdin.isTTY ? process.stdin : undefined;
  const onKey = () => stop(SIGNALS.SIGINT);
  terminal?.setRawMode(true).on('data', onKey).resume();
  return {
    signal: controller.signal,
    exitCode: () => exitCode,
    release() {
      for (const [name, listener] of listeners) process.off(name, listener);
      terminal?.off('data', onKey).setRawMode(false).pause();
    },
  };
}
