import { createInterface } from 'node:readline/promises';

/** True where there is a terminal to ask on. */
export function canAsk(): boolean {
  return process.stdin.isTTY === true;
}

/** Asks on the terminal. @returns true for yes, false for whatever else ends the question */
export async function confirm(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  // A question that is never answered would not settle by itself.
  const closed = new Promise<string>((resolve) => terminal.once('close', () => resolve('')));
  try {
    const answer = await Promise.race([terminal.question(`${question} [y/N] `), closed]);
    return /^\s*y(es)?\s*$/i.test(answer);
  } catch {
    return false;
  } finally {
    terminal.close();
  }
}
