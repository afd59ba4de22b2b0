import { open } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import type { SQSRecord } from 'aws-lambda';
import { VizardError } from '../../../lambda/errors.ts';
import { loginEvents } from '../../../lambda/events/login-event.ts';
import type { QueueOptions } from '../../local/find-queue.ts';
import { queueName } from '../../queue/name.ts';
import { toRecord } from '../../queue/record.ts';
import { lookThrough, PORTION, sentAt, withDeadLetters } from './look.ts';
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
  return withDeadLetters(options, async (queues) => {
    const queue = queueName(queues.source.queueUrl);
    const output = await openOutput(file);
    let exported = 0;
    const look = await lookThrough(queues, {
      label: 'looked at',
      size: () => PORTION,
      async visit(messages) {
        const lines = messages.map((message) => `${JSON.stringify(diagnosis(toRecord(message), queue))}\n`);
        await write(output, lines.join(''), file);
        exported += messages.length;
      },
    });
    if (file !== '-') {
      output.end();
      const { unseen, elsewhere } = look;
      process.stdout.write(
        options.json
          ? `${JSON.stringify({ exported, unseen, elsewhere })}\n`
          : `${exported} diagnoses in ${file}\n${renderUnseen(look)}`,
      );
    }
    return look.exitCode;
  });
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

/** A new file that only its owner reads, or standard output for `-`. */
async function openOutput(file: string): Promise<Writable> {
  const output = file === '-' ? process.stdout : await createFile(file);
  // What fails is told to who writes.
  return output.on('error', () => {});
}

async function createFile(file: string): Promise<Writable> {
  try {
    return (await open(file, 'wx', 0o600)).createWriteStream();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new VizardError(
      code === 'EEXIST' ? `${file} exists already; name a new file` : `${file} cannot be written (${code})`,
    );
  }
}

function write(output: Writable, text: string, file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    output.write(text, (error) => {
      if (error)
        reject(new VizardError(`${file} cannot be written (${(error as NodeJS.ErrnoException).code})`));
      else resolve();
    });
  });
}
