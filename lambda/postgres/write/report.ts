import { DatabaseFailure } from '../../errors.ts';
import type { EventIdentity } from '../../events/parse.ts';
import type { Rejection } from '../../events/rejection.ts';
import { errorCode, refusedField } from '../sqlstate.ts';

/** What became of the rows; every one is in exactly one of them. */
export interface WriteReport {
  readonly stored: number;
  /** Rows whose event was in the table already. */
  readonly duplicates: number;
  /** Rows that the database refuses for what they hold. */
  readonly refused: readonly Rejection[];
  /** Messages that are not committed and should come again. */
  readonly retry: readonly string[];
  /**
   * The code of the last failure where the database took nothing: it could not be reached, or was lost. Undefined where
   * it took something, or where rows come again for another reason.
   */
  readonly unreachable?: string | undefined;
}

export function report(part: Partial<WriteReport>): WriteReport {
  return { stored: 0, duplicates: 0, refused: [], retry: [], ...part };
}

export function merge(a: WriteReport, b: WriteReport): WriteReport {
  return {
    stored: a.stored + b.stored,
    duplicates: a.duplicates + b.duplicates,
    refused: [...a.refused, ...b.refused],
    retry: [...a.retry, ...b.retry],
    unreachable: a.unreachable && b.unreachable,
  };
}

export function retryAll(
  chunks: readonly { readonly events: readonly EventIdentity[] }[],
  unreachable?: string,
): WriteReport {
  const retry = chunks.flatMap(({ events }) => events.map(({ messageId }) => messageId));
  return report({ retry, unreachable });
}

/** Why the database refuses a row that it was given alone. */
export function refusal({ messageId }: EventIdentity, error: unknown): Rejection {
  return { messageId, field: refusedField(error), code: errorCode(error) };
}

/**
 * A trigger or a rule of the table may drop a row in silence. What is not there must not be acknowledged.
 *
 * @throws DatabaseFailure where fewer rows are there than were sent
 */
export function requireAll(sent: number, there: number): void {
  if (there < sent)
    throw new DatabaseFailure(`the table took ${there} of ${sent} rows: a trigger drops some`, 'copy');
}
