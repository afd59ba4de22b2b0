import type { Progress } from '../../bin/local/progress.ts';
import { type Fault, type FaultKind, hit, targetOf } from './faults.ts';
import type { Gauge } from './gauge.ts';
import type { Stage } from './stage.ts';

export interface Injector {
  readonly stage: Stage;
  readonly plan: readonly Fault[];
  readonly gauge: Gauge;
  readonly progress: Progress;
  /** Told the kind of each fault when it has hit. */
  readonly onHit: (kind: FaultKind) => void;
}

/** Lets every fault of the plan hit when its time has come. Resolves when all are over. */
export async function injectFaults(
  { stage, plan, gauge, progress, onHit }: Injector,
  signal: AbortSignal,
): Promise<void> {
  const inTurn = turns();
  let count = 0;
  const inject = async (fault: Fault) => {
    await gauge.until(() => gauge.settled >= fault.at, signal);
    await inTurn(targetOf(fault), async () => {
      const { kind, milliseconds } = fault;
      const number = `fault ${++count}/${plan.length} at ${gauge.settled}`;
      const duration = milliseconds === 0 ? '' : ` for ${(milliseconds / 1000).toFixed(1)} s`;
      progress.note(`${number}: ${kind}${duration}`);
      const met = await hit(stage, fault, signal);
      onHit(kind);
      if (met !== undefined) progress.note(`  ${kind}: ${met}`);
    });
  };
  await Promise.all(plan.map(inject));
}

/** Work with the same name is done one after the other. */
function turns(): (name: string, work: () => Promise<void>) => Promise<void> {
  const last = new Map<string, Promise<void>>();
  return (name, work) => {
    const turn = (last.get(name) ?? Promise.resolve()).then(work);
    last.set(name, turn);
    return turn;
  };
}
