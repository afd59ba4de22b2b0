import { Logger } from '@aws-lambda-powertools/logger';
import { awsSurroundings } from './aws/breaker.ts';
import { tick } from './breaker/breaker.ts';
import { readBreakerConfig } from './config.ts';
import { reportFailure } from './log.ts';
import { createBreakerMetrics } from './metrics.ts';

const log = new Logger();
const surroundings = awsSurroundings(readBreakerConfig(process.env));
const publish = createBreakerMetrics();

/** Once a minute. A minute that fails publishes nothing, which is what the alarm on silence is for. */
export async function handler(): Promise<void> {
  try {
    publish(await tick(surroundings, log, Date.now()));
  } catch (error) {
    throw reportFailure(log, error);
  }
}
