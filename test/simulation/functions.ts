import { vi } from 'vitest';
import { VizardError } from '../../lambda/errors.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { createFunction, type IngestFunction, type Observer, type Resources } from '../../lambda/function.ts';
import { createMetrics } from '../../lambda/metrics.ts';
import { METRICS } from '../../lambda/names.ts';
import { memoryLog } from '../support/log.ts';
import type { VirtualClock } from './clock.ts';
import type { Invoke } from './event-source-mapping.ts';
import type { SimulatedQueue } from './queue.ts';
import type { Reports } from './reports.ts';
import { messageNumber, messageRecord, type Traffic } from './traffic.ts';

/** The real function, an instance for each invocation that runs at a time, as Lambda has environments. */
export interface Environments {
  readonly invoke: Invoke;
  figures(): { readonly invocations: number; readonly environments: number };
  close(): Promise<void>;
}

export interface FunctionSettings {
  readonly resources: Resources;
  /** Milliseconds of real time that an invocation has. */
  readonly milliseconds: number;
}

export function createEnvironments(
  clock: VirtualClock,
  { resources, milliseconds }: FunctionSettings,
  traffic: Traffic,
  queue: Pick<SimulatedQueue, 'receiveCount'>,
  reports: Reports,
): Environments {
  const all: IngestFunction[] = [];
  const idle: IngestFunction[] = [];
  let invocations = 0;

  function create(): IngestFunction {
    const created = createFunction(loginEvents, resources, memoryLog().log, publishing(reports));
    all.push(created);
    return created;
  }

  return {
    async invoke(messages) {
      invocations++;
      const environment = idle.pop() ?? create();
      const Records = messages.map((message) => messageRecord(traffic, message, queue.receiveCount(message)));
      const end = performance.now() + milliseconds;
      const context = { getRemainingTimeInMillis: () => end - performance.now() };
      try {
        const { batchItemFailures } = await clock.during(() => environment.handler({ Records }, context));
        return new Set(batchItemFailures.map(({ itemIdentifier }) => messageNumber(itemIdentifier)));
      } catch (error) {
        if (!(error instanceof VizardError)) throw error;
        return undefined;
      } finally {
        idle.push(environment);
      }
    },
    figures: () => ({ invocations, environments: all.length }),
    async close() {
      await Promise.all(all.map((environment) => environment.close()));
    },
  };
}

/** What the function's metrics say of it, as CloudWatch takes it from standard output. */
function publishing(reports: Reports): Observer {
  const metrics = createMetrics();
  const publish = (tell: () => void) => {
    for (const blocked of blockedOf(tell)) reports.publish(blocked);
  };
  return {
    batch: (report) => publish(() => metrics.batch(report)),
    failed: (error) => publish(() => metrics.failed(error)),
  };
}

function blockedOf(tell: () => void): number[] {
  const lines: string[] = [];
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((line) => lines.push(String(line)) > 0);
  try {
    tell();
  } finally {
    write.mockRestore();
  }
  const published = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  return published.map((values) => values[METRICS.blocked]).filter((value) => typeof value === 'number');
}
