/** When an invocation has to be over. The clock is Lambda's, so it stands still while the environment is frozen. */
export interface Deadline {
  /** Milliseconds that work may still take; what the answer needs is already taken off. Never negative. */
  remaining(): number;
}

/** Kept back for rolling back and answering. */
const RESERVE = 1_000;

/** @param context the invocation's, of which only the clock is used */
export function deadlineOf(context: { getRemainingTimeInMillis(): number }): Deadline {
  return { remaining: () => Math.max(0, context.getRemainingTimeInMillis() - RESERVE) };
}
