/** Lambda's runtime in small, for lambda-process.ts: every invocation's response or error is a line of JSON. */
import { text } from 'node:stream/consumers';
import type { SQSRecord } from 'aws-lambda';
import { handler } from '../../lambda/handler.ts';

const batches = JSON.parse(await text(process.stdin)) as SQSRecord[][];
for (const Records of batches) {
  const end = Date.now() + 10_000;
  let answer: unknown;
  try {
    answer = { response: await handler({ Records }, { getRemainingTimeInMillis: () => end - Date.now() }) };
  } catch (error) {
    const { name, message, stack, cause } = error as Error;
    answer = { errorType: name, errorMessage: message, stack, cause, ...(error as object) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
