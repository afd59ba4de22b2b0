/** Writes the template of each kind of deployment, for cfn-lint: `node test/infra/write-templates.ts FOLDER`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DEPLOYMENTS, template } from './deployments.ts';

const [, , folder = 'cdk.out/templates'] = process.argv;
mkdirSync(folder, { recursive: true });
for (const [name, context] of Object.entries(DEPLOYMENTS)) {
  const json = JSON.stringify(template(context).toJSON(), undefined, 2);
  writeFileSync(join(folder, `${name}.json`), json);
}
