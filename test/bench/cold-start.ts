import { statSync } from 'node:fs';
import { type Benchmark, compared, type Figure } from './benchmark.ts';
import { type ColdStart, openColdStartStage, SECRETS_MANAGER_TIME } from './cold-start-stage.ts';
import type { Stage } from './stage.ts';
import { spreadOf } from './statistics.ts';

/** Bytes of the largest bundle that is wanted, and how much longer than pg alone it may take to load. */
const LARGEST_BUNDLE = 350_000;
const LONGEST_LOAD = 1.5;

export const benchmark: Benchmark = {
  title: 'a process of its own, from its start to the end of its first invocation, which stores one record',
  note:
    `The bundle is the deployed one; the login is IAM's, by TLS; Secrets Manager answers after ${SECRETS_MANAGER_TIME} ms, without TLS. ` +
    'Keyset and connection are waited for at the same time. pg alone is bundled alike, loaded, and connects by TLS.',
  run: coldStart,
};

/** Starts processes in turn with those of pg alone, and splits what they take. Figures in milliseconds. */
export async function coldStart({
  measure,
  progress,
}: Pick<Stage, 'measure' | 'progress'>): Promise<Figure[]> {
  progress.begin('cold start: bundles and servers', 1);
  const stage = await openColdStartStage();
  progress.end();
  const ours: ColdStart[] = [];
  const pgs: ColdStart[] = [];
  try {
    const took = await measure('cold start', {
      function: () => keep(ours, stage.startFunction(stage.bundle)),
      pg: () => keep(pgs, stage.startPg()),
      config: () => stage.readConfig(),
    });
    const { length } = took.function;
    // The rounds that count are the last ones.
    const steps = split(ours.slice(-length));
    const base = split(pgs.slice(-length));
    const next = (what: string, name: keyof Steps, pg: string, aim?: Figure['aim']) =>
      compared(
        { what, milliseconds: steps[name] },
        { what: pg, milliseconds: base[name] },
        aim === undefined ? {} : { aim },
      );
    const alone = (what: string, milliseconds: readonly number[]): Figure => ({
      what,
      unit: 'ms',
      value: spreadOf(milliseconds),
    });
    return [
      next('start to the end of the first invocation', 'all', 'pg alone: start to connected'),
      next('processor time of all of it', 'cpu', 'pg alone: processor time'),
      next('Node starts', 'node', 'pg alone: Node starts'),
      next('module load', 'load', 'pg alone: module load', { atMost: LONGEST_LOAD }),
      alone('of which configuration', took.config),
      alone('SDK and authorities, begun while loading', steps.ahead),
      alone('first invocation', steps.invocation),
      alone('of which keyset, from its start', steps.keyset),
      next('of which TCP, TLS and login, from its start', 'connect', 'pg alone: TCP, TLS and login'),
      alone('of which key check, row and commit, after both', steps.commit),
      {
        what: 'bundle of the function',
        unit: 'B',
        value: spreadOf([statSync(stage.bundle).size]),
        aim: { atMost: LARGEST_BUNDLE },
      },
    ];
  } finally {
    await stage.close();
  }
}

async function keep(starts: ColdStart[], starting: Promise<ColdStart>): Promise<number> {
  const start = await starting;
  starts.push(start);
  return start.done - start.asked;
}

/** Milliseconds by step and round. */
interface Steps {
  readonly all: number[];
  readonly cpu: number[];
  readonly node: number[];
  readonly load: number[];
  readonly ahead: number[];
  readonly invocation: number[];
  readonly keyset: number[];
  readonly connect: number[];
  readonly commit: number[];
}

function split(starts: readonly ColdStart[]): Steps {
  const step = (of: (start: ColdStart) => number) => starts.map(of);
  return {
    all: step(({ asked, done }) => done - asked),
    cpu: step(({ cpu }) => cpu),
    node: step(({ asked, started }) => started - asked),
    load: step(({ started, loaded }) => loaded - started),
    ahead: step(({ loaded, ready }) => ready - loaded),
    invocation: step(({ ready, done }) => done - ready),
    keyset: step(({ ready, keyset = ready }) => keyset - ready),
    connect: step(({ ready, connected }) => connected - ready),
    commit: step(({ keyset = 0, connected, done }) => done - Math.max(keyset, connected)),
  };
}
