import type { ClientBase } from 'pg';
import type { TableDeclaration } from '../../events/declaration.ts';
import type { Rotation } from '../../masking/retoken.ts';
import type { Position } from './batch.ts';
import { rekeysTable } from './tables.ts';

/**
 * What a rekey does next. `superseded`: another one has begun, to a key that is primary now.
 */
export type Phase = 'aliases' | 'rows' | 'cleanup' | 'done' | 'superseded';

/** A rekey as its row has it. */
export interface RekeyRecord<Proof = unknown> extends Position {
  readonly id: number;
  readonly phase: Phase;
  /** By the server's clock, in ISO 8601. */
  readonly started: string;
  readonly ended: string;
  /** Rows so far. */
  readonly rewritten: number;
  /** Sealed values so far. */
  readonly resealed: number;
  /** Empty before the end. */
  readonly proof: Proof;
}

const FIELDS = `id::int, phase, relation, block::int, rewritten::float AS rewritten, resealed::float AS resealed, proof,
  to_json(started)#>>'{}' AS started, to_json(ended)#>>'{}' AS ended`;

/** The latest rekey of these keys that was not superseded. */
export async function findRecord<Proof>(
  client: ClientBase,
  declaration: TableDeclaration,
  { from, to }: Rotation,
): Promise<RekeyRecord<Proof> | undefined> {
  const { rows } = await client.query<RekeyRecord<Proof>>(
    `SELECT ${FIELDS} FROM ${rekeysTable(declaration)}
     WHERE from_key = $1 AND to_key = $2 AND phase <> 'superseded' ORDER BY id DESC LIMIT 1`,
    [from, to],
  );
  return rows[0];
}

/** Enters a new rekey. One of other keys that was not finished never will be. Under the lock of rekeys. */
export async function openRecord(
  client: ClientBase,
  declaration: TableDeclaration,
  { from, to }: Rotation,
): Promise<void> {
  const table = rekeysTable(declaration);
  await client.query(
    `WITH superseded AS (UPDATE ${table} SET phase = 'superseded', ended = now() WHERE phase NOT IN ('done', 'superseded'))
     INSERT INTO ${table} (id, from_key, to_key, started, phase, relation, block, rewritten, resealed, ended, proof)
     SELECT coalesce(max(id), 0) + 1, $1, $2, now(), 'aliases', '', 0, 0, 0, now(), '{}' FROM ${table}`,
    [from, to],
  );
}

/** Moves a rekey to its next phase. */
export async function enterPhase(
  client: ClientBase,
  declaration: TableDeclaration,
  id: number,
  phase: Phase,
  proof: unknown = {},
): Promise<void> {
  await client.query(
    `UPDATE ${rekeysTable(declaration)} SET phase = $2, relation = '', block = 0, ended = now(), proof = $3 WHERE id = $1`,
    [id, phase, JSON.stringify(proof)],
  );
}
