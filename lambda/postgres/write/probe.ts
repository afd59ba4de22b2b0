import type { ClientBase } from 'pg';
import type { Deadline } from '../../deadline.ts';
import { DatabaseFailure } from '../../errors.ts';
import type { TableDeclaration } from '../../events/declaration.ts';
import type { KeyProof } from '../../masking/key-proof.ts';
import type { StorableChunk } from '../../masking/table-masker.ts';
import { claimKeys } from '../keys/check.ts';
import { idempotencyIndex } from '../schema/table.ts';
import { classify } from '../sqlstate.ts';
import { beginStatement } from '../transaction.ts';
import { putIntoVault, vaultInsert } from '../vault/vault.ts';
import { copyInto, copyStatement } from './copy.ts';
import { encodeRows } from './copy-rows.ts';
import { insertRows, insertStatement } from './insert.ts';
import { sortRows } from './rows.ts';

/** What a write would be of. */
export interface Trial {
  /** One row, of an event that is not in the table. */
  readonly row: StorableChunk;
  /** Proofs of the key that its tokens are made with. */
  readonly keys: readonly KeyProof[];
}

/** Milliseconds, of which a statement gets half: a table that is locked is to be known as such before the time is over. */
const LONGEST = 20_000;

/**
 * Does what a write does, both statements and a commit that has something to make durable, and leaves nothing behind.
 *
 * @throws pg's error where a batch would fail as a whole; a row that only this table refuses is no such failure
 * @throws KeysetFailure where the table was written with another key of the same name, or layered otherwise
 */
export async function probeWrite(
  client: ClientBase,
  declaration: TableDeclaration,
  { row, keys }: Trial,
  deadline: Deadline,
): Promise<void> {
  const begin = beginStatement({ remaining: () => Math.min(LONGEST, deadline.remaining()) });
  await client.query(`${begin}; SAVEPOINT probe`);
  await claimKeys(client, declaration, keys);
  try {
    const copied = await copyInto(client, { copy: copyStatement(declaration), times: 1 }, [
      [encodeRows(row)],
    ]);
    if (copied !== 1) throw new DatabaseFailure('the table takes no row: a trigger drops it', 'copy');
    await insertRows(client, insertStatement(declaration), sortRows([row]));
  } catch (error) {
    if (classify(error, idempotencyIndex(declaration)) !== 'row') throw error;
  }
  await putIntoVault(client, vaultInsert(declaration)(row.sealed));
  // Row and claim go, but what was written of them has to reach the disk, and a standby where one is waited for.
  await client.query('ROLLBACK TO SAVEPOINT probe; COMMIT');
}
