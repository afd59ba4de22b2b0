/**
 * Lambda's runtime in small, for lambda-process.ts: an event is a line of JSON on standard input, its response or error
 * a line of JSON on standard output. At the end the most memory that was ever resident goes to descriptor 3, in bytes.
 */
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';

type Handler = (event: unknown, context: { getRemainingTimeInMillis(): number }) => Promise<unknown>;

const entry = new URL(`../../lambda/${process.argv[2]}.ts`, import.meta.url).href;
const { handler } = (await import(entry)) as { handler: Handler };
for await (const line of createInterface({ input: process.stdin })) {
  const event: unknown = JSON.parse(line);
  const end = Date.now() + Number(process.argv[3]);
  let answer: unknown;
  try {
    answer = { response: await handler(event, { getRemainingTimeInMillis: () => end - Date.now() }) };
  } catch (error) {
    const { name, message, stack, cause } = error as Error;
    answer = { errorType: name, errorMessage: message, stack, cause, ...(error as object) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
writeSync(3, String(process.resourceUsage().maxRSS * 1024));
process.exit(0);
