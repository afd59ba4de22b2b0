import { existsSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import type { Message } from '@aws-sdk/client-sqs';
import type { SQSRecord } from 'aws-lambda';
import { VizardError } from '../../../lambda/errors.ts';
import { loginEvents } from '../../../lambda/events/login-event.ts';
import type { QueueOptions } from '../../local/find-queue.ts';
import { queueName } from '../../queue/name.ts';
import { toRecord } from '../../queue/record.ts';
import { endLook, failureCode, type Look, lookThrough, PORTION, sentAt, withDeadLetters } from './look.ts';
import { reasonOf } from './reason.ts';
import { renderUnseen } from './render.ts';
import { attributesShape, bodyShape } from './shape.ts';

export interface ExportOptions extends QueueOptions {
  readonly json: boolean;
}

/**
 * `vizard dead-letters export FILE`: a line of JSON for each dead letter, that can be put into a bug report: what is
 * wrong and what the message looks like, without a value of it or a name that the declaration does not have.
 */
export async function exportDiagnoses(file: string, options: ExportOptions): Promise<number> {
  if (file === '') throw new VizardError('FILE is empty: expected a new file, or - for standard output');
  return withDeadLetters(options, async (queues) => {
    const output = file === '-' ? standardOutput() : await createFile(file);
    let exported = 0;
    try {
      const look = await lookThrough(queues, {
        label: 'looked at',
        size: () => PORTION,
        async visit(messages) {
          await output.write(diagnoses(messages, queueName(queues.source.queueUrl)));
          exported += messages.length;
          return messages.length;
        },
      });
      if (look.failure !== undefined) throw look.failure;
      await output.finish();
      report(file, exported, look, options.json);
      return endLook(look);
    } finally {
      await output.discard();
    }
  });
}

function report(file: string, exported: number, look: Look, json: boolean): void {
  const { unseen, elsewhere } = look;
  if (file === '-') process.stderr.write(renderUnseen(look));
  else if (json)
    process.stdout.write(`${JSON.stringify({ exported, unseen, elsewhere, failed: failureCode(look) })}\n`);
  else process.stdout.write(`${exported} diagnoses in ${file}\n${renderUnseen(look)}`);
}

function diagnoses(messages: readonly Message[], queue: string): string {
  return messages.map((message) => `${JSON.stringify(diagnosis(toRecord(message), queue))}\n`).join('');
}

function diagnosis(record: SQSRecord, queue: string) {
  const time = sentAt(record);
  return {
    messageId: record.messageId,
    sentAt: time === undefined ? null : new Date(time).toISOString(),
    receives: Number(record.attributes.ApproximateReceiveCount),
    reason: reasonOf(record, queue),
    attributes: attributesShape(record),
    body: bodyShape(record.body, loginEvents),
  };
}

/** Where diagnoses go. */
interface Output {
  write(text: string): Promise<void>;
  /** All is written. */
  finish(): Promise<void>;
  /** Removes what was not finished. */
  discard(): Promise<void>;
}

function standardOutput(): Output {
  return {
    // What fails is told where all output is watched.
    write: (text) =>
      new Promise((resolve) => {
        process.stdout.write(text, () => resolve());
      }),
    async finish() {},
    async discard() {},
  };
}

/** A new file that only its owner reads. It has its name when it is finished; what is left of a killed one is replaced. */
async function createFile(file: string): Promise<Output> {
  if (existsSync(file)) throw new VizardError(`${file} exists already; name a new file`);
  const explained = <T>(work: Promise<T>): Promise<T> =>
    work.catch((error: NodeJS.ErrnoException) => Promise.reject(cannotWrite(file, error)));
  const part = `${file}.part`;
  await explained(rm(part, { force: true }));
  const handle = await explained(open(part, 'wx', 0o600));
  return {
    write: (text) => explained(handle.appendFile(text)),
    async finish() {
      await explained(handle.close());
      await explained(rename(part, file));
    },
    async discard() {
      await handle.close();
      await rm(part, { force: true });
    },
  };
}

function cannotWrite(file: string, { code }: NodeJS.ErrnoException): VizardError {
  return new VizardError(`${file} cannot be written (${code})`);
}
