/** Milliseconds for which a function keeps a secret that it has read: what is changed there is used at the latest then. */
export const MAX_SECRET_AGE = 300_000;
