import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { declarationTable } from '../support/declaration-table.ts';

const readme = readFileSync(join(import.meta.dirname, '..', '..', 'README.md'), 'utf8');

it('the README describes the login event as the declaration has it', () => {
  expect(unaligned(readme)).toContain(unaligned(declarationTable(loginEvents)));
});

/** The formatter aligns tables. */
function unaligned(markdown: string): string {
  return markdown.replaceAll(/-+/g, '-').replaceAll(/ +/g, ' ');
}
