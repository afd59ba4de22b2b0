import { clearText } from '../../../lambda/events/clear-text.ts';
import type { OpenedToken, OpeningFailure } from '../../../lambda/masking/open-tokens.ts';
import type { AuditRow } from '../../../lambda/postgres/audit/audit.ts';
import { printable, printableJson } from '../../local/printable.ts';
import type { AskedTokens } from './asked-tokens.ts';

export interface Recovery {
  readonly asked: AskedTokens;
  /** One for each token that was asked for. */
  readonly opened: readonly OpenedToken[];
  /** Where it stands in the audit trail. */
  readonly row: AuditRow;
}

/** Prints what was recovered, and on standard error what was not. @returns the exit code */
export function report({ asked, opened, row }: Recovery, json: boolean): number {
  const { unit, tokens, nulls } = asked;
  const recovered: { token: string; column: string; value: string }[] = [];
  const failed: { position: number; reason: OpeningFailure }[] = [];
  const complaints: string[] = [];
  for (const [i, token] of opened.entries()) {
    const { text, position } = tokens[i]!;
    if (token.kind === 'opened') {
      const { column, value } = token;
      recovered.push({ token: text, column: column.column, value: clearText(column, value) });
    } else {
      failed.push({ position, reason: token.reason });
      complaints.push(`${unit} ${position}: ${FAILURES[token.reason]}${ofKey(token)}\n`);
    }
  }
  if (nulls > 0) complaints.push(`${nulls} ${nulls === 1 ? 'row has' : 'rows have'} NULL and no token\n`);
  process.stderr.write(complaints.join(''));
  const audit = { number: row.number, hash: row.hash };
  process.stdout.write(
    json
      ? `${printableJson({ recovered, failed, audit })}\n`
      : recovered.map(({ token, value }) => `${token}\t${printable(value)}\n`).join(''),
  );
  return failed.length > 0 ? 1 : 0;
}

function ofKey({ reason, kid, recipient }: Extract<OpenedToken, { kind: 'failed' }>): string {
  if (recipient !== undefined) return ` (${recipient})`;
  return reason === 'unknown_key' && kid !== undefined ? ` (${kid})` : '';
}

/** None of them shows what stood there. */
const FAILURES: Readonly<Record<OpeningFailure, string>> = {
  not_a_token: 'is no token',
  irreversible: 'was made irreversibly: nobody recovers it, look a known value up with `vizard lookup`',
  // Sealed values are compared with their tokens by the key.
  unknown_key: 'was made with a key that is not in the keyset: nobody recovers it without that key',
  not_in_vault: 'is not in the vault: nobody recovers it, look a known value up with `vizard lookup`',
  no_content_key:
    'is in the vault without the content key that opens it: nobody recovers it, unless a backup has the row of user_logins_vault_keys',
  other_recipient:
    'is sealed: name the private key of this fingerprint with --private-key or --recovery-kms-key',
  altered: 'was altered, or made for another table, or with another key of the same name',
};
