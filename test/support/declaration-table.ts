import {
  type Column,
  DATE_COLUMN,
  ID_COLUMN,
  isMasked,
  MAX_MASKED_TEXT_BYTES,
  sqlType,
  type TableDeclaration,
} from '../../lambda/events/declaration.ts';
import { fieldPath } from '../../lambda/events/parse.ts';

/** The README's table of fields and columns, in Markdown. */
export function declarationTable({ columns }: TableDeclaration): string {
  const rows = [
    ['field', 'rule', 'column', 'type'],
    ['---', '---', '---', '---'],
    ...columns.map((column) => [
      code(fieldPath(column)),
      rule(column),
      code(column.column),
      code(sqlType(column)),
    ]),
    ['–', 'UTC date of the `EventTime` attribute, else of the sent time', code(DATE_COLUMN), code('date')],
    ['–', 'the `EventId` attribute, else the message id', code(ID_COLUMN), code('uuid')],
  ];
  return rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function rule(column: Column): string {
  const parts = [content(column)];
  if (isMasked(column)) parts.push(`masked, domain \`${column.mask.domain}\``);
  if (column.optional) parts.push('null or missing becomes NULL');
  return parts.join('; ');
}

function content(column: Column): string {
  switch (column.type) {
    case 'address':
      return 'IPv4 or IPv6 address';
    case 'version':
      return 'one to three numeric parts, stored as major·1,000,000 + minor·1,000 + patch';
    case 'text':
      return column.mask === undefined
        ? `text of at most ${column.maxLength} characters`
        : `text of at most ${MAX_MASKED_TEXT_BYTES} bytes, trimmed, Unicode NFC`;
    default:
      return column satisfies never;
  }
}

function code(text: string): string {
  return `\`${text}\``;
}
