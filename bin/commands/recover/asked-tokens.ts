import { VizardError } from '../../../lambda/errors.ts';
import { openLines } from '../../local/lines.ts';

/** A text that is to be a token. No message shows it: somebody may have pasted an address. */
export interface AskedToken {
  readonly text: string;
  /** From 1, among what they were read from. */
  readonly position: number;
}

/** What is asked for, and how its places are called. */
export interface AskedTokens {
  readonly unit: 'token' | 'line' | 'row';
  readonly tokens: readonly AskedToken[];
  /** Rows that have NULL in place of a token. */
  readonly nulls: number;
}

/** Tokens of the command line. @throws VizardError where they are more than the limit */
export function tokensOfArguments(texts: readonly string[], limit: number): AskedTokens {
  if (texts.length > limit) throw tooMany(limit);
  return { unit: 'token', tokens: texts.map((text, i) => ({ text, position: i + 1 })), nulls: 0 };
}

/** Tokens of a file, one a line. @throws VizardError where it can't be read or has more than the limit */
export async function tokensOfFile(file: string, limit: number): Promise<AskedTokens> {
  const tokens: AskedToken[] = [];
  await using lines = await openLines(file);
  for await (const { line, body } of lines) {
    const text = (body ?? '').trim();
    // What is not UTF-8 is no token, but something stands there.
    if (text === '' && body !== null) continue;
    if (tokens.push({ text, position: line }) > limit) throw tooMany(limit);
  }
  return { unit: 'line', tokens, nulls: 0 };
}

/** Nobody gets a part of what they asked for by mistake. */
export function tooMany(limit: number, what: 'tokens' | 'rows' = 'tokens'): VizardError {
  return new VizardError(
    `expected at most ${limit} ${what}, got more; nothing was opened: ask for fewer, or raise --limit`,
  );
}
