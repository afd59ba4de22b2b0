/** Writes the template of each database mode, for cfn-lint: `node test/infra/write-templates.ts FOLDER`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MODE_NAMES, MODES, template } from './deployments.ts';

const [, , folder = 'cdk.out/templates'] = process.argv;
mkdirSync(folder, { recursive: true });
for (const mode of MODE_NAMES) {
  const json = JSON.stringify(template(MODES[mode]).toJSON(), undefined, 2);
  writeFileSync(join(folder, `${mode}.json`), json);
}
