import { VizardError } from '../../../lambda/errors.ts';
import { canAsk, confirm } from '../../local/confirm.ts';
import type { QueueOptions } from '../../local/find-queue.ts';
import type { QueueWithDeadLetters } from '../../queue/dead-letter-queue.ts';
import { endLook, failureCode, withDeadLetters } from './look.ts';
import { STORABLE } from './reason.ts';
import { ageSeconds, renderReasons, renderUnseen } from './render.ts';
import { type SentBack, sendBack } from './send-back.ts';

export interface RedriveOptions extends QueueOptions {
  /** @default storable */
  readonly reason?: readonly string[];
  /** @default all */
  readonly limit?: number;
  readonly dryRun: boolean;
  readonly yes: boolean;
  readonly json: boolean;
}

/** Refused messages that are named to a person. */
const SHOWN = 20;

/** `vizard dead-letters redrive`: sends dead letters back to their queue as the events that they are. */
export async function redrive(options: RedriveOptions): Promise<number> {
  const { dryRun, yes, json } = options;
  if (!dryRun && !yes && !canAsk()) {
    throw new VizardError(
      'redrive deletes from the dead-letter queue: expected a terminal to ask on, got none; pass --yes, or --dry-run to see what it would do',
    );
  }
  const codes = new Set(options.reason ?? [STORABLE]);
  const limit = options.limit ?? Number.POSITIVE_INFINITY;
  return withDeadLetters(options, async (queues) => {
    if (yes && !dryRun) return report(await sendBack(queues, { codes, limit, dryRun }), json);
    const preview = await sendBack(queues, { codes, limit, dryRun: true });
    if (dryRun || preview.redriven === 0 || preview.exitCode !== 0 || failureCode(preview) !== undefined)
      return report(preview, json);
    if (!json) process.stdout.write(render(preview, Date.now()));
    const answer = await confirm(question(preview.redriven, queues));
    if (!answer.yes) {
      process.stderr.write('nothing was changed\n');
      if (json) report(preview, json);
      return answer.exitCode || 1;
    }
    // No more than was agreed to.
    return report(await sendBack(queues, { codes, limit: preview.redriven, dryRun }), json);
  });
}

function question(count: number, { source, deadLetters }: QueueWithDeadLetters): string {
  return `Send ${count} dead ${count === 1 ? 'letter' : 'letters'} back to ${source.queueUrl}, and delete them from ${deadLetters.queueUrl}?`;
}

/** Prints what was done. @returns the exit code @throws what cut it short */
function report(done: SentBack, json: boolean): number {
  const now = Date.now();
  process.stdout.write(json ? `${JSON.stringify(toJson(done, now))}\n` : render(done, now));
  return endLook(done) || (done.refused.length + done.inBoth > 0 ? 1 : 0);
}

function countLeft({ left }: SentBack): number {
  return left.reduce((sum, { count }) => sum + count, 0);
}

function toJson(done: SentBack, now: number) {
  const { dryRun, redriven, inBoth, left, refused, unseen, elsewhere } = done;
  return {
    dryRun,
    redriven,
    inBoth,
    left: countLeft(done),
    refused,
    unseen,
    elsewhere,
    failed: failureCode(done),
    reasons: left.map(({ oldest, ...reason }) => ({ ...reason, oldestSeconds: ageSeconds(oldest, now) })),
  };
}

function render(done: SentBack, now: number): string {
  const { dryRun, redriven, inBoth, left, refused } = done;
  const refusals = refused
    .slice(0, SHOWN)
    .map(({ messageId, code }) => `  ${messageId}  cannot be sent back: ${code}\n`);
  return [
    `${dryRun ? 'would redrive' : 'redriven'} ${redriven} · left ${countLeft(done)} · refused ${refused.length}\n`,
    ...refusals,
    refused.length > SHOWN ? `  and ${refused.length - SHOWN} more\n` : '',
    inBoth > 0 ? `${inBoth} may be in both queues, as the same events; run it again\n` : '',
    renderUnseen(done),
    renderReasons(left, now),
  ].join('');
}
