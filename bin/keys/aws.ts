/** Milliseconds; what does not answer must not hold up a person for ever. `requestTimeout` alone only warns. */
export const AWS_LIMITS = {
  maxAttempts: 3,
  requestHandler: { connectionTimeout: 5_000, requestTimeout: 15_000, throwOnRequestTimeout: true },
} as const;

/** The region that an ARN names. @returns undefined for a name: the SDK then asks environment and profile */
export function regionOf(id: string): string | undefined {
  return /^arn:[a-z-]+:[a-z]+:([a-z0-9-]+):/.exec(id)?.[1];
}

/** What may be said of an SDK's error: the name that AWS gives it, or the system's code. Messages may quote values. */
export function awsCode(error: unknown): string {
  const { name, code, message } = (error ?? {}) as Record<string, unknown>;
  // The SDK has no name for it.
  if (message === 'Region is missing') return 'no_region';
  const isName = (text: unknown): text is string => typeof text === 'string' && /^\w{3,60}$/.test(text);
  return [code, name].find(isName) ?? 'unknown';
}
