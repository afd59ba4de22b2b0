/**
 * Of every SDK client. Without an endpoint in a VPC calls hang: what can't be reached has to be known within the time
 * of an invocation. `requestTimeout` alone only warns.
 */
export const CLIENT_SETTINGS = {
  maxAttempts: 2,
  requestHandler: { connectionTimeout: 2_000, requestTimeout: 5_000, throwOnRequestTimeout: true },
} as const;

/** What may be said of an SDK's error: the name that AWS gives it, or the system's code. Messages may quote values. */
export function awsErrorCode(error: unknown): string {
  const { name, code } = (error ?? {}) as { name?: unknown; code?: unknown };
  for (const text of [code, name]) {
    if (typeof text === 'string' && /^[A-Za-z0-9_]{3,60}$/.test(text)) return text;
  }
  return 'unknown';
}
