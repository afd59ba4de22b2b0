import { DATE_COLUMN, ID_COLUMN, isMasked, type TableDeclaration } from '../../events/declaration.ts';
import { AUDIT_TABLE } from '../audit/table.ts';
import { keysTable } from '../keys/table.ts';
import { aliasesTable, groupsTable, rekeysTable } from '../rekey/tables.ts';
import { vaultKeysTable, vaultTable } from '../vault/tables.ts';
import { currentView } from '../views/current.ts';

/** The roles of a database on RDS, by what they are for. */
export const ROLE_KINDS = ['writer', 'reader', 'recovery', 'custodian'] as const;
export type RoleKind = (typeof ROLE_KINDS)[number];

/** What the roles are called. */
export type RoleNames = Readonly<Record<RoleKind, string>>;

export type Privilege = 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE';

/** The columns that a privilege is for, or all of them and those that come. */
export type Columns = readonly string[] | 'all';

/** What the roles may do with a table or a view. A role that is not named may do nothing with it. */
export interface Permissions {
  readonly relation: string;
  /** Nobody at all but its owner may change or remove a row. @default false */
  readonly appendOnly?: boolean;
  readonly roles: Readonly<Partial<Record<RoleKind, Readonly<Partial<Record<Privilege, Columns>>>>>>;
}

const READ = { SELECT: 'all' } as const;
const CHANGE = { SELECT: 'all', INSERT: 'all', UPDATE: 'all', DELETE: 'all' } as const;
const APPEND = { INSERT: 'all', SELECT: 'all' } as const;

/**
 * All that the roles may do, and so all that they can: the migration grants exactly this, and refuses a database where
 * they have more or less. Not each of the relations is in every database.
 */
export function permissions(declaration: TableDeclaration): readonly Permissions[] {
  const { table, repeats } = declaration;
  // What ON CONFLICT has to look at.
  const key = [DATE_COLUMN, ID_COLUMN];
  const tokens = declaration.columns.filter(isMasked).map(({ column }) => column);
  const readers = { reader: READ, recovery: READ, custodian: READ } as const;
  return [
    {
      relation: table,
      roles: {
        writer: { INSERT: 'all', SELECT: key },
        reader: READ,
        recovery: READ,
        custodian: { SELECT: 'all', UPDATE: tokens, DELETE: 'all' },
      },
    },
    { relation: repeats.view, roles: readers },
    { relation: currentView(declaration), roles: readers },
    { relation: keysTable(declaration), roles: { writer: APPEND, recovery: READ, custodian: APPEND } },
    // Readers as well: a view that somebody made security_invoker reads with their rights.
    {
      relation: aliasesTable(declaration),
      roles: { reader: READ, recovery: READ, custodian: CHANGE },
    },
    {
      relation: rekeysTable(declaration),
      roles: { custodian: { SELECT: 'all', INSERT: 'all', UPDATE: 'all' } },
    },
    {
      relation: groupsTable(declaration),
      roles: { custodian: { SELECT: 'all', INSERT: 'all', DELETE: 'all' } },
    },
    {
      relation: vaultTable(declaration),
      roles: { writer: { INSERT: 'all' }, recovery: READ, custodian: CHANGE },
    },
    { relation: vaultKeysTable(declaration), roles: { writer: { INSERT: 'all' }, recovery: READ } },
    { relation: AUDIT_TABLE, appendOnly: true, roles: { recovery: APPEND, custodian: APPEND } },
  ];
}
