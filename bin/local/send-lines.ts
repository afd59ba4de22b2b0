import type { Queue } from '../queue/queue.ts';
import type { Line } from './lines.ts';
import type { Progress } from './progress.ts';
import type { Rejected } from './summary.ts';

/** What became of the lines. */
export interface Sent {
  /** messageId → line. */
  readonly lines: ReadonlyMap<string, number>;
  /** Lines that are not UTF-8, or that SQS refuses for their size or for characters that it does not carry. */
  readonly refused: readonly Rejected[];
}

/** Lines that are sent at a time, ten a call. */
const GROUP = 100;

/** Sends every line as one message, until the signal. */
export async function sendLines(
  queue: Queue,
  lines: AsyncIterable<Line>,
  progress: Progress,
  signal: AbortSignal,
): Promise<Sent> {
  const sent = new Map<string, number>();
  const refused: Rejected[] = [];
  const refuse = (line: number, code: string) => refused.push({ messageId: null, line, field: 'body', code });
  let group: { line: number; body: string }[] = [];
  const flush = async () => {
    const results = await queue.send(group.map(({ body }) => body));
    results.forEach((result, i) => {
      const { line } = group[i]!;
      if ('messageId' in result) sent.set(result.messageId, line);
      else refuse(line, result.refused);
    });
    progress.advance(group.length);
    group = [];
  };
  progress.begin('sent', 0);
  try {
    for await (const { line, body } of lines) {
      if (signal.aborted) break;
      if (body === null) refuse(line, 'utf8');
      else group.push({ line, body });
      if (group.length === GROUP) await flush();
    }
    if (group.length > 0) await flush();
  } finally {
    progress.end();
  }
  return { lines: sent, refused };
}
