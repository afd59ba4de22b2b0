/** Lambda's runtime in small, for lambda-process.ts: every invocation's response or error is a line of JSON. */
import { text } from 'node:stream/consumers';

type Handler = (event: unknown, context: { getRemainingTimeInMillis(): number }) => Promise<unknown>;

const entry = new URL(`../../lambda/${process.argv[2]}.ts`, import.meta.url).href;
const { handler } = (await import(entry)) as { handler: Handler };
const events = JSON.parse(await text(process.stdin)) as unknown[];
for (const event of events) {
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
process.exit(0);
