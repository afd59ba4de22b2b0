/**
 * What a table declaration can say. One declaration names everything that is particular to one kind of event;
 * parser, masker, writer, migration and the README's table are driven by it.
 */

/** `recoverable`: a key holder gets the value back (`s1`). `irreversible`: nobody does (`h1`). */
export type Masking = 'recoverable' | 'irreversible';

/** Tokens of one domain join; the same value in another domain has another token. */
export interface Mask {
  readonly domain: string;
  /** Fixes the scheme of this column. @default the scheme that the configuration names */
  readonly policy?: Masking;
}

/**
 * `network`: the token is that of the address's network, /24 of IPv4 and /48 of IPv6, in the scheme that the configuration
 * names. It needs a domain that no address has.
 */
export interface AddressMask {
  readonly domain: string;
  readonly policy?: Masking | 'network';
}

/** Always NULL, whatever comes. */
export interface Erasure {
  readonly policy: 'erase';
}

interface Sourced {
  /** Name of the column in the table. */
  readonly column: string;
  /** Where the value stands in the JSON body, one member name a level. */
  readonly source: readonly string[];
  /** Missing or JSON null becomes NULL. @default false: it is rejected */
  readonly optional?: boolean;
}

/** Text that is stored as it is; `maxLength` in code points, as varchar(n) counts. */
export interface TextColumn extends Sourced {
  readonly type: 'text';
  readonly maxLength: number;
  readonly mask?: never;
}

/** A version of one to three numeric parts, stored as one integer that sorts as versions do. */
export interface VersionColumn extends Sourced {
  readonly type: 'version';
  readonly mask?: never;
}

/** Text that is stored as a token; its canonical form has at most 159 UTF-8 bytes. */
export interface MaskedTextColumn extends Sourced {
  readonly type: 'text';
  readonly mask: Mask;
}

/** An IP address. It is personal data, so there is no way to declare one that is not masked. */
export interface AddressColumn extends Sourced {
  readonly type: 'address';
  readonly mask: AddressMask;
}

/** A column that is there for those who read the table, and stays empty. */
export interface ErasedColumn extends Sourced {
  readonly type: 'text' | 'address';
  readonly mask: Erasure;
}

export type PlainColumn = TextColumn | VersionColumn;
/** Its values are tokens. */
export type MaskedColumn = MaskedTextColumn | AddressColumn;
export type Column = PlainColumn | MaskedColumn | ErasedColumn;

export interface TableDeclaration {
  readonly table: string;
  /** In the order of the table. `create_date` and `event_id` follow them in every table. */
  readonly columns: readonly Column[];
  /**
   * Columns that a configuration adds. A table that has one keeps it, and its place in the views; events leave it NULL while
   * it is not among the columns.
   *
   * @default none
   */
  readonly further?: readonly Column[];
  /** The view that lists masked values which occur more than once. */
  readonly repeats: RepeatsView;
}

export interface RepeatsView {
  readonly view: string;
  /** Name of the view's column that says how often a value occurs. */
  readonly count: string;
  /** The table's column whose distinct values are counted for each repeated value. */
  readonly subject: string;
  /** Name of the view's column that says how many distinct subjects there are. */
  readonly subjects: string;
}

/** The columns that every table ends with: the UTC date of the sent time, and the idempotency key. */
export const DATE_COLUMN = 'create_date';
export const ID_COLUMN = 'event_id';

/** Longest canonical text that fits a token into varchar(256): 10 cipher blocks less one byte of padding. */
export const MAX_MASKED_TEXT_BYTES = 159;

/** A token has at most this many characters: scheme, kid of up to eight, 176 bytes as base64url. */
export const MAX_TOKEN_LENGTH = 256;

export function isMasked(column: Column): column is MaskedColumn {
  return column.mask !== undefined && !isErased(column);
}

export function isErased(column: Column): column is ErasedColumn {
  return column.mask !== undefined && column.mask.policy === 'erase';
}

/** All column names of the table, in its order. */
export function columnNames(declaration: TableDeclaration): string[] {
  return [...declaration.columns.map(({ column }) => column), DATE_COLUMN, ID_COLUMN];
}

/** The column's PostgreSQL type. */
export function sqlType(column: Column): string {
  if (column.mask !== undefined) return `varchar(${MAX_TOKEN_LENGTH})`;
  switch (column.type) {
    case 'text':
      return `varchar(${column.maxLength})`;
    case 'version':
      return 'integer';
    default:
      return column satisfies never;
  }
}
