import { VizardError } from '../../lambda/errors.ts';
import { parseAddress } from '../../lambda/events/address.ts';
import { type Act, type AuditRow, digestOf, withAudit } from '../../lambda/postgres/audit/audit.ts';
import type { DatabaseClient } from '../../lambda/postgres/connection.ts';
import { identify } from './identity.ts';
import type { KeysetStore } from './keyset-store.ts';

/** Who acts, and why: what anybody has to say before a value, or a row of a known value, is shown. */
export type Person = Pick<Act, 'who' | 'reason'>;

/** What they ask for; the tokens become a digest. */
export interface Asked extends Pick<Act, 'action' | 'columns' | 'kids' | 'count'> {
  readonly tokens: readonly string[];
}

const MAX_REASON = 500;

/**
 * A reason as the audit trail may keep it: in clear, for ever, and shown on terminals. No error quotes it.
 *
 * @throws VizardError
 */
export function parseReason(text: string): string {
  const reason = text.trim();
  const length = [...reason].length;
  if (length < 1 || length > MAX_REASON)
    throw new VizardError(
      `--reason: expected 1 to ${MAX_REASON} characters, got ${length}; say why, such as a ticket`,
    );
  if (/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(reason))
    throw new VizardError('--reason: expected text of one line, got control characters; leave them out');
  if (holdsAddress(reason))
    throw new VizardError(
      '--reason: expected no personal data, got an IP address; the reason is kept in clear, name a ticket instead',
    );
  return reason;
}

/** Dotted numbers anywhere; for IPv6, whatever of hexadecimal digits, colons and dots stands between other text. */
const IPV4 = /(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d)/g;
const IPV6 = /(?<![0-9a-z])[0-9a-f:.]*:[0-9a-f:.]*(?![0-9a-z])/gi;

/** `a :: b` is no address that anybody has. */
const FEWEST_DIGITS = 3;

function holdsAddress(reason: string): boolean {
  // Full-width digits are digits. As people write what is not to become a link, 203[.]0[.]113[.]7, or with zeros before.
  const plain = reason.normalize('NFKC').replace(/[[({]\s*([.:])\s*[\])}]/g, '$1');
  const texts = [plain, plain.replace(/\s*\.\s*/g, '.')].map((text) => text.replace(/(?<!\d)0+(?=\d)/g, ''));
  const found = texts.flatMap((text) => [IPV4, IPV6].flatMap((pattern) => text.match(pattern) ?? []));
  const words = found.filter((word) => word.replace(/[:.]/g, '').length >= FEWEST_DIGITS);
  // At the end of a sentence, or before a colon.
  const variants = words.flatMap((word) => [word, word.replace(/\.+$/, ''), word.replace(/[.:]+$/, '')]);
  return variants.some((word) => parseAddress(word) !== undefined);
}

/** @throws VizardError where the reason is none, or AWS does not say who acts */
export async function identifyPerson(store: KeysetStore, reason: string): Promise<Person> {
  return { reason: parseReason(reason), who: await identify(store) };
}

/**
 * The gate: shows something only once it stands in the audit trail, committed, who asked for it and why.
 *
 * @throws VizardError where the trail can't be written; nothing has been shown then
 */
export function passGate<T>(
  client: DatabaseClient,
  person: Person,
  { tokens, ...asked }: Asked,
  show: (row: AuditRow) => T | Promise<T>,
): Promise<T> {
  return withAudit(client, { ...person, ...asked, digest: digestOf(tokens) }, show);
}
