import { Logger } from '@aws-lambda-powertools/logger';
import { administratorLogin, ingestLogin } from './aws/login.ts';
import { readMigrationDatabase } from './config.ts';
import { onEvent } from './custom-resource.ts';
import { loginEvents } from './events/login-event.ts';
import { runMigration } from './migration.ts';
import { ROLES } from './names.ts';

const log = new Logger();

/** Brings the schema up, and on RDS the roles; idempotent. For CDK's provider framework, or invoked as it is. */
export const handler = onEvent('schema', log, async (_properties, deadline) => {
  const address = readMigrationDatabase(process.env);
  // Whoever gives a URL or a user of their own has users already.
  if (address.kind !== 'secret')
    return runMigration(loginEvents, { login: ingestLogin(address) }, log, deadline);
  const login = await administratorLogin(address);
  return runMigration(loginEvents, { login, roles: ROLES }, log, deadline);
});
