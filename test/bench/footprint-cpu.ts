import { readdirSync, readFileSync } from 'node:fs';
import type { Client } from 'pg';

/** Linux tells in hundredths of a second, whatever the kernel's own tick (USER_HZ). */
const MICROSECONDS_PER_TICK = 10_000;

/**
 * The processor time of a server on this machine.
 *
 * @returns a clock of the microseconds that all its processes have computed, backends and background writers alike;
 *   undefined where there is no /proc
 */
export async function serverCpuClock(client: Client): Promise<(() => number) | undefined> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const postmaster = processTimes(String(rows[0]!.pid))?.parent;
  if (postmaster === undefined) return undefined;
  return () => {
    const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    const children = processes.map(processTimes).filter((times) => times?.parent === postmaster);
    return children.reduce((sum, times) => sum + times!.ticks, 0) * MICROSECONDS_PER_TICK;
  };
}

/**
 * @returns undefined where the process has ended
 * @see https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html fields 4, 14 and 15
 */
function processTimes(pid: string): { parent: string; ticks: number } | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The second field is a name in brackets and may contain anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { parent: fields[1]!, ticks: Number(fields[11]) + Number(fields[12]) };
}
