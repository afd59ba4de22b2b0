import { loginEvents } from '../../lambda/events/login-event.ts';
import type { Resources } from '../../lambda/function.ts';
import { createWriteProbe } from '../../lambda/write-probe.ts';
import { keyset } from '../support/function.ts';
import { memoryLog } from '../support/log.ts';
import { createEnvironments } from './functions.ts';
import type { World } from './simulation.ts';

export interface RealWorldOptions extends Pick<World, 'setDatabase'> {
  /** Of the database, by a way that `setDatabase` can block. */
  readonly url: string;
  /** Milliseconds of the simulation that one of the real world counts for. @default 1 */
  readonly speed?: number;
  /** Real time that an invocation has, and the probe, in milliseconds. @default 60000 and 45000, as in the stack */
  readonly milliseconds?: { readonly invocation: number; readonly probe: number };
}

/** The real function and the real probe on a real database. */
export function realWorld({ url, setDatabase, speed = 1, milliseconds }: RealWorldOptions): World {
  const time = milliseconds ?? { invocation: 60_000, probe: 45_000 };
  const resources: Resources = {
    login: { kind: 'url', url },
    keyset: () => Promise.resolve(keyset),
    masking: 'recoverable',
  };
  const probe = createWriteProbe(loginEvents, resources, memoryLog().log);
  return {
    createEnvironments: ({ clock, queue, reports }, traffic) =>
      createEnvironments(clock, { resources, milliseconds: time.invocation }, traffic, queue, reports),
    async probe() {
      const end = performance.now() + time.probe;
      try {
        await probe({}, { getRemainingTimeInMillis: () => end - performance.now() });
        return undefined;
      } catch (error) {
        return (error as Error).message;
      }
    },
    setDatabase,
    speed,
  };
}
