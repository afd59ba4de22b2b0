/** When an invocation has to be over. The clock is Lambda's, so it stands still while the environment is frozen. */
export interface Deadline {
  /** Milliseconds that work may still take; what the answer needs is already taken off. Never negative. */
  remaining(): number;
}

/** The part of Lambda's context that says how much time is left. */
export interface InvocationClock {
  getRemainingTimeInMillis(): number;
}

/** Kept back for rolling back and answering. */
const RESERVE = 1_000;

export const NO_DEADLINE: Deadline = Object.freeze({ remaining: () => Infinity });

/** @param context the invocation's, of which only the clock is used; without one there is no limit */
export function deadlineOf(context: InvocationClock | undefined): Deadline {
  if (context === undefined) return NO_DEADLINE;
  return { remaining: () => Math.max(0, context.getRemainingTimeInMillis() - RESERVE) };
}
