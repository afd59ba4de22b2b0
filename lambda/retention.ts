import { Logger } from '@aws-lambda-powertools/logger';
import { administratorLogin, ingestLogin } from './aws/login.ts';
import { readRetentionConfig } from './config.ts';
import { deadlineOf, type InvocationClock } from './deadline.ts';
import { loginEvents } from './events/login-event.ts';
import { reportFailure } from './log.ts';
import { createRetentionMetrics } from './metrics.ts';
import { runRetention } from './partition-keeper.ts';

const log = new Logger();
const publish = createRetentionMetrics();

/** Once an hour. A run that fails publishes nothing, which is what the alarm on silence is for. */
export async function handler(_event: unknown, context?: InvocationClock): Promise<void> {
  try {
    const { database, retentionDays } = readRetentionConfig(process.env);
    const login = database.kind === 'secret' ? await administratorLogin(database) : ingestLogin(database);
    const target = { login, retentionDays, now: Date.now() };
    publish(await runRetention(loginEvents, target, log, deadlineOf(context)));
  } catch (error) {
    throw reportFailure(log, error);
  }
}
