import { parseToken } from '../../../lambda/masking/tokens.ts';
import type { AskedTokens } from './asked-tokens.ts';

/** Says what would be asked for, and opens nothing. @returns the exit code */
export function plan({ tokens, nulls, unit }: AskedTokens, json: boolean): number {
  const kinds = new Map<string, number>();
  for (const { text } of tokens) {
    const token = parseToken(text);
    const kind = token === undefined ? 'no token' : `${token.scheme}~${token.kid}`;
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  const counted = [...kinds].sort().map(([kind, count]) => ({ kind, count }));
  const lines = [
    `would ask for ${tokens.length} ${tokens.length === 1 ? 'token' : 'tokens'}`,
    ...counted.map(({ kind, count }) => `  ${kind}  ${count}`),
    ...(unit === 'row' ? [`  NULL  ${nulls}`] : []),
  ];
  const output = { dryRun: true, asked: tokens.length, kinds: counted, nulls };
  process.stdout.write(`${json ? JSON.stringify(output) : lines.join('\n')}\n`);
  return 0;
}
