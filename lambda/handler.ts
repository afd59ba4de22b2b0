import { Logger } from '@aws-lambda-powertools/logger';
import { keysetSource } from './aws/keyset.ts';
import { ingestLogin } from './aws/login.ts';
import { readConfig } from './config.ts';
import { loginEventsWith } from './events/login-event.ts';
import { createFunction } from './function.ts';
import { createMetrics } from './metrics.ts';

const { database, keyset, masking, recoveryKey, further } = readConfig(process.env);

export const { handler } = createFunction(
  loginEventsWith(further),
  { login: ingestLogin(database), keyset: keysetSource(keyset), masking, recoveryKey },
  new Logger(),
  createMetrics(),
);
