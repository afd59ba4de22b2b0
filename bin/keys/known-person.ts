import { isUtf8 } from 'node:buffer';
import { buffer } from 'node:stream/consumers';
import { Option } from 'commander';
import { VizardError } from '../../lambda/errors.ts';
import {
  type Column,
  isMasked,
  type MaskedColumn,
  type TableDeclaration,
} from '../../lambda/events/declaration.ts';
import { fieldParser } from '../../lambda/events/fields.ts';
import { FieldError } from '../../lambda/events/rejection.ts';
import type { Keyset } from '../../lambda/masking/keyset.ts';
import { tokensOfValue } from '../../lambda/masking/known-tokens.ts';
import type { Asked } from './gate.ts';

/** Values by the attribute that commander gives an option. */
export type ValueOptions = Readonly<Record<string, unknown>>;

/** A value that somebody knows, as the events of a source have it. */
export interface KnownValue {
  /** As the declaration has it. */
  readonly source: string;
  /** Canonical bytes. */
  readonly value: Uint8Array;
}

/** A column, and the tokens that one value can have there. */
export interface SoughtColumn {
  readonly column: string;
  readonly tokens: readonly string[];
}

/** One for each value that is known: a row is sought that has it in one of the columns. */
export type Sought = readonly (readonly SoughtColumn[])[];

/** An option for each source of masked columns. */
export function valueOptions(declaration: TableDeclaration): Option[] {
  return sourcesOf(declaration).map((source) => {
    const columns = columnsOf(declaration, source).map(({ column }) => column);
    return new Option(
      `--${optionName(source)} <value>`,
      `rows with this value in ${columns.join(' or ')}; - reads it from standard input`,
    ).argParser((value, before?: string) => {
      // Commander would quote what its own parsers refuse.
      if (before !== undefined)
        throw new VizardError(`--${optionName(source)}: expected one value, got two; ask for each by itself`);
      return value;
    });
  });
}

/**
 * The values that the options name, in canonical form. No error quotes one.
 *
 * @throws VizardError where there is none, one is malformed, or the reason says it
 */
export async function readValues(
  declaration: TableDeclaration,
  options: ValueOptions,
  reason: string,
): Promise<KnownValue[]> {
  const named = sourcesOf(declaration).flatMap((source) => {
    const given = options[new Option(`--${optionName(source)}`).attributeName()];
    return typeof given === 'string' ? [{ source, given }] : [];
  });
  const names = sourcesOf(declaration).map((source) => `--${optionName(source)}`);
  if (named.length === 0)
    throw new VizardError(`expected a value to look for, got none; give ${names.join(' or ')}`);
  if (named.filter(({ given }) => given === '-').length > 1)
    throw new VizardError('expected one value from standard input, got - twice; give the other one as it is');
  const values: KnownValue[] = [];
  for (const { source, given } of named) {
    const value = given === '-' ? oneLine(await buffer(process.stdin), source) : given;
    forbidInReason(value, reason, source);
    values.push({ source, value: parse(columnsOf(declaration, source)[0]!, value, source) });
  }
  return values;
}

/** The tokens of known values under every key of the keyset, in every column that can hold them. */
export function seek(keyset: Keyset, declaration: TableDeclaration, values: readonly KnownValue[]): Sought {
  return values.map(({ source, value }) =>
    columnsOf(declaration, source).map((column) => ({
      column: column.column,
      tokens: tokensOfValue(keyset, column, value),
    })),
  );
}

/** What is to be said of a statement with that condition. */
export const READS_ALL = 'reading the whole table, because masked columns have no index …';

/** The condition that a row meets which has all of the values, and its parameters, from $1 on. */
export function conditionOf(sought: Sought): { readonly condition: string; readonly values: string[][] } {
  const values: string[][] = [];
  const hasValue = (columns: readonly SoughtColumn[]) =>
    columns
      .map(({ column, tokens }) => `${column} = ANY ($${values.push([...tokens])}::text[])`)
      .join(' OR ');
  return { condition: sought.map((columns) => `(${hasValue(columns)})`).join(' AND '), values };
}

/** What the audit trail says of it. */
export function soughtUnder({ kids }: Keyset, sought: Sought): Pick<Asked, 'columns' | 'kids' | 'tokens'> {
  const columns = sought.flat();
  return {
    columns: [...new Set(columns.map(({ column }) => column))],
    kids,
    tokens: [...new Set(columns.flatMap(({ tokens }) => tokens))],
  };
}

/** Joined by which a source is one name. */
function sourcesOf({ columns }: TableDeclaration): string[] {
  const sources = columns.filter(isPersonal).map(({ source }) => source.join('.'));
  return [...new Set(sources)];
}

/** Those of the source, and those of their domains, where the same value has the same tokens. */
function columnsOf({ columns }: TableDeclaration, source: string): MaskedColumn[] {
  const personal = columns.filter(isPersonal);
  const own = personal.filter((column) => column.source.join('.') === source);
  const domains = new Set(own.map(({ mask }) => mask.domain));
  return personal.filter(({ mask }) => domains.has(mask.domain));
}

/** A network is that of everybody in it. */
function isPersonal(column: Column): column is MaskedColumn {
  return isMasked(column) && column.mask.policy !== 'network';
}

function optionName(source: string): string {
  return source.replace(/[._]/g, '-');
}

/**
 * What would be sought in vain, and found nowhere, is refused.
 *
 * @returns the line without its end
 * @throws VizardError for bytes that are no text, and for several lines
 */
function oneLine(input: Buffer, source: string): string {
  const refused = (got: string, advice: string) =>
    new VizardError(
      `--${optionName(source)}: expected one line of UTF-8 on standard input, got ${got}; ${advice}`,
    );
  if (!isUtf8(input)) throw refused('bytes that are none', 'convert it to UTF-8');
  const line = input.toString().replace(/\r?\n$/, '');
  if (/[\r\n]/.test(line)) throw refused('more than one line', 'ask for each value by itself');
  return line;
}

function parse(column: MaskedColumn, value: string, source: string): Uint8Array {
  try {
    const parsed = fieldParser(column)(value);
    if (parsed instanceof Uint8Array) return parsed;
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    throw new VizardError(
      `--${optionName(source)}: expected a value as events have it in ${source}, got one that is refused there (${error.code})`,
    );
  }
  throw new Error(`column ${column.column}: expected canonical bytes`);
}

/** Shorter ones are in any text by chance, in letters and digits alone more easily. */
const SHORTEST = 4;
const SHORTEST_CHARACTERS = 6;

function lettersAndDigits(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]/gu, '');
}

function forbidInReason(value: string, reason: string, source: string): void {
  const holds = (spell: (text: string) => string, shortest: number) => {
    const sought = spell(value.trim());
    return sought.length >= shortest && spell(reason).includes(sought);
  };
  if (holds((text) => text.toLowerCase(), SHORTEST) || holds(lettersAndDigits, SHORTEST_CHARACTERS))
    throw new VizardError(
      `--reason: expected no personal data, got the value of --${optionName(source)}; the reason is kept in clear, name a ticket instead`,
    );
}
