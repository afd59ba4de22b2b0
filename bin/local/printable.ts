import Table from 'cli-table3';

/**
 * Text that no terminal obeys: control characters and those that change the direction of text are escaped as JSON escapes
 * them, and so is the backslash, so that the text can be read back.
 */
export function printable(text: string): string {
  return text.replace(/[\\\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, escapeUnits);
}

/** JSON, without the control characters that JSON allows; numbers that no number is exact for are text. */
export function printableJson(value: unknown): string {
  return JSON.stringify(value, exact).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escapeUnits);
}

function exact(_name: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

function escapeUnits(character: string): string {
  if (character === '\\') return '\\\\';
  const units = Array.from({ length: character.length }, (_, i) => character.charCodeAt(i));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
}

/** A table of such text; null shows as NULL. */
export function printableTable(head: readonly string[], rows: readonly (readonly unknown[])[]): string {
  const table = new Table({ head: [...head], style: { head: [], border: [], compact: true } });
  for (const row of rows) table.push(row.map((cell) => (cell === null ? 'NULL' : printable(String(cell)))));
  return `${table.toString()}\n`;
}
