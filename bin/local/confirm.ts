import { createInterface } from 'node:readline/promises';
import { onStopRequest } from './stop.ts';

/** True where there is a terminal to ask on, and to be answered from. */
export function canAsk(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true;
}

export interface Answer {
  readonly yes: boolean;
  /** 128 + the signal's number where one ended the question, else 0. */
  readonly exitCode: number;
}

/** Asks on the terminal; whatever ends the question but a yes is a no. */
export async function confirm(question: string): Promise<Answer> {
  const stop = onStopRequest({ keys: false });
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  // A question that is never answered would not settle by itself.
  const closed = new Promise<string>((resolve) => terminal.once('close', () => resolve('')));
  // Ctrl-C comes as a key, since the terminal is read raw; from elsewhere it comes as a signal.
  let interrupted = false;
  terminal.once('SIGINT', () => {
    interrupted = true;
    terminal.close();
  });
  stop.signal.addEventListener('abort', () => terminal.close(), { once: true });
  try {
    const answer = await Promise.race([terminal.question(`${question} [y/N] `).catch(() => ''), closed]);
    return { yes: /^\s*y(es)?\s*$/i.test(answer), exitCode: interrupted ? 130 : stop.exitCode() };
  } finally {
    terminal.close();
    stop.release();
  }
}
