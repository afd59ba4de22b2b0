import { Logger } from '@aws-lambda-powertools/logger';
import { readConfig } from './config.ts';
import { loginEvents } from './events/login-event.ts';
import { createFunction } from './function.ts';

export const { handler } = createFunction(
  loginEvents,
  readConfig(process.env),
  new Logger({ serviceName: 'vizard' }),
);
