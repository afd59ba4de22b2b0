import { MILLISECONDS_A_DAY } from '../../events/identity.ts';

/** A calendar day of UTC, as the number of days since 1970-01-01. */
export type Day = number;

/** @param milliseconds since 1970 UTC */
export function dayOf(milliseconds: number): Day {
  return Math.floor(milliseconds / MILLISECONDS_A_DAY);
}

/** `2026-11-22`, as Postgres reads it whatever its DateStyle. @param day of the years 0 to 9999 */
export function isoDate(day: Day): string {
  return new Date(day * MILLISECONDS_A_DAY).toISOString().slice(0, 10);
}

/** A partition of a table by its bounds, as Postgres has them: the first day in it, and the first one after it. */
export interface Partition {
  /** Quoted where it has to be. */
  readonly name: string;
  /** -Infinity where it begins with MINVALUE. */
  readonly from: Day;
  /** Infinity where it ends with MAXVALUE. */
  readonly to: Day;
}

/** Days for which there should be a partition before they begin. */
export interface DaysAhead {
  readonly today: Day;
  /** How many days after today. */
  readonly ahead: number;
}

/** The first day from today on that has no partition; undefined when all have one. */
export function firstMissing(partitions: readonly Partition[], { today, ahead }: DaysAhead): Day | undefined {
  const days = Array.from({ length: ahead + 1 }, (_, i) => today + i);
  return days.find((day) => !partitions.some(({ from, to }) => from <= day && day < to));
}

/** How many days from today on have a partition one after the other; 0 when today has none. */
export function daysCovered(partitions: readonly Partition[], days: DaysAhead): number {
  return (firstMissing(partitions, days) ?? days.today + days.ahead + 1) - days.today;
}

/** What the table keeps. */
export interface Retention {
  readonly today: Day;
  /** Days before today that are kept. */
  readonly retentionDays: number;
}

/** The first day that is kept. */
export function oldestKept({ today, retentionDays }: Retention): Day {
  return today - retentionDays;
}

/** Partitions of which not one day is kept, the oldest first. */
export function expired(partitions: readonly Partition[], retention: Retention): Partition[] {
  return partitions.filter(({ to }) => to <= oldestKept(retention)).sort((a, b) => a.to - b.to);
}
