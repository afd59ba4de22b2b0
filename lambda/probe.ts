import { Logger } from '@aws-lambda-powertools/logger';
import { keysetSource } from './aws/keyset.ts';
import { ingestLogin } from './aws/login.ts';
import { readConfig } from './config.ts';
import { loginEventsWith } from './events/login-event.ts';
import { createWriteProbe } from './write-probe.ts';

const { database, keyset, masking, recoveryKey, further } = readConfig(process.env);

/** For the circuit breaker: fails where a batch would fail. */
export const handler = createWriteProbe(
  loginEventsWith(further),
  { login: ingestLogin(database), keyset: keysetSource(keyset), masking, recoveryKey },
  new Logger(),
);
