import { Logger } from '@aws-lambda-powertools/logger';
import { administratorLogin, ingestLogin } from './aws/login.ts';
import { readFurtherColumns, readMigrationDatabase, readRecoveryKey, readRetentionDays } from './config.ts';
import { onEvent } from './custom-resource.ts';
import { loginEventsWith } from './events/login-event.ts';
import { runMigration } from './migration.ts';
import { ROLES } from './names.ts';
import { dayOf } from './postgres/partitions/days.ts';

const log = new Logger();

/** Brings the schema up, and on RDS the roles; idempotent. For CDK's provider framework, or invoked as it is. */
export const handler = onEvent('schema', log, async (_properties, deadline) => {
  const address = readMigrationDatabase(process.env);
  const declaration = loginEventsWith(readFurtherColumns(process.env));
  const keepsAll = readRetentionDays(process.env) === undefined;
  const vault = readRecoveryKey(process.env) !== undefined;
  const partitions = keepsAll ? undefined : { today: dayOf(Date.now()) };
  // Whoever gives a URL or a user of their own has users already.
  const target =
    address.kind === 'secret'
      ? { login: await administratorLogin(address), roles: ROLES }
      : { login: ingestLogin(address) };
  return runMigration(declaration, { ...target, partitions, vault }, log, deadline);
});
