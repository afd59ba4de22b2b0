/**
 * A few seconds where a deployment has minutes, so that a fault can outlast an invocation, and a frozen worker the time
 * for which its messages are invisible.
 */
export const FUNCTION_TIMEOUT = 5_000;
export const VISIBILITY_SECONDS = 10;
/** Enough that outages do not use them up: a good message in the dead-letter queue is a failure of the run. */
export const MAX_RECEIVES = 10;
