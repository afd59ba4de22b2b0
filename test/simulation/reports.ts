import { HOUR, MINUTE, type VirtualClock } from './clock.ts';

/** The metric `Blocked`, as CloudWatch keeps it. */
export interface Reports {
  /** @param blocked what an invocation published */
  publish(blocked: number): void;
  /** The average of each minute that had reports, as far as they can be seen now; newest first. */
  averages(from: number, to: number): number[];
}

/** Milliseconds from publishing to being seen: mostly seconds, for logs that become metrics up to two minutes. */
const DELAY = 2 * MINUTE;

export function createReports(clock: VirtualClock): Reports {
  let reports: { readonly time: number; readonly blocked: number }[] = [];
  return {
    publish(blocked) {
      reports.push({ time: clock.now(), blocked });
    },
    averages(from, to) {
      const now = clock.now();
      reports = reports.filter(({ time }) => time > now - HOUR);
      const seen = reports.filter(({ time }) => time >= from && time < to && time + DELAY <= now);
      const minutes = [...Map.groupBy(seen, ({ time }) => Math.floor(time / MINUTE))];
      return minutes
        .toSorted(([a], [b]) => b - a)
        .map(([, group]) => group.reduce((sum, { blocked }) => sum + blocked, 0) / group.length);
    },
  };
}
