import { VizardError } from '../../lambda/errors.ts';

/** `<!-- name -->`, a table, `<!-- /name -->` */
function markers(name: string): RegExp {
  return new RegExp(`(<!-- ${name} -->\n)[^]*?(<!-- /${name} -->)`);
}

/**
 * The document with its tables made anew.
 *
 * @param tables markdown, by the names of their markers
 * @throws VizardError where the document has no place for one of them
 */
export function withTables(document: string, tables: Readonly<Record<string, string>>): string {
  let written = document;
  for (const [name, table] of Object.entries(tables)) {
    if (!markers(name).test(written)) {
      throw new VizardError(
        `expected <!-- ${name} --> and <!-- /${name} --> in the document, got none; add them`,
      );
    }
    written = written.replace(markers(name), (_, begin: string, end: string) => `${begin}${table}\n${end}`);
  }
  return written;
}
