import { Logger } from '@aws-lambda-powertools/logger';
import { keysetSource } from './aws/keyset.ts';
import { ingestLogin } from './aws/login.ts';
import { readConfig } from './config.ts';
import { loginEvents } from './events/login-event.ts';
import { createFunction } from './function.ts';
import { createMetrics } from './metrics.ts';

const { database, keyset, masking } = readConfig(process.env);

export const { handler } = createFunction(
  loginEvents,
  { login: ingestLogin(database), keyset: keysetSource(keyset), masking },
  new Logger(),
  createMetrics(),
);
