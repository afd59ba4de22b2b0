import { describe, expect, it } from 'vitest';
import { VizardError } from '../../lambda/errors.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { createFunction, type Observer } from '../../lambda/function.ts';
import type { Log } from '../../lambda/log.ts';
import type { KeysetSource } from '../../lambda/masking/keyset.ts';
import { useDatabase } from '../support/database.ts';
import { keyset } from '../support/function.ts';
import { memoryLog } from '../support/log.ts';
import { record, records } from '../support/records.ts';

const database = useDatabase();

const fail = () => {
  throw new Error('CANARY');
};
const WELL: Observer = { batch() {}, failed() {} };
const context = { getRemainingTimeInMillis: () => 30_000 };

async function answer(log: Log, observer: Observer, source: KeysetSource = async () => keyset) {
  const resources = { login: database.login, keyset: source, masking: 'recoverable' as const };
  const { handler, close } = createFunction(loginEvents, resources, log, observer);
  try {
    const bad = record('{}', { messageId: 'bad' });
    return await handler({ Records: [...records(3), bad] }, context);
  } finally {
    await close();
  }
}

describe('a batch that is committed', () => {
  it.each<[string, Log, Observer]>([
    ['its metrics', memoryLog().log, { ...WELL, batch: fail }],
    ['its log', { info: fail, warn: fail, error: () => {} }, WELL],
    ['everything that tells about it', { info: fail, warn: fail, error: fail }, { ...WELL, batch: fail }],
  ])('is answered, though %s failed', async (_name, log, observer) => {
    expect(await answer(log, observer)).toEqual({ batchItemFailures: [{ itemIdentifier: 'bad' }] });
    expect(await database.count()).toBe(3);
  });

  it('has the failure of its metrics in the log, without a value', async () => {
    const { log, lines } = memoryLog();

    await answer(log, { ...WELL, batch: fail });

    expect(lines.at(-1)).toMatchObject({ level: 'error', message: 'log or metrics failed', error: 'Error' });
    expect(JSON.stringify(lines)).not.toContain('CANARY');
  });
});

describe('a batch that failed', () => {
  it('fails with its own reason, though its metrics failed as well', async () => {
    const { log } = memoryLog();
    const source = () => Promise.reject(new VizardError('no keyset'));

    await expect(answer(log, { ...WELL, failed: fail }, source)).rejects.toThrow('no keyset');
  });
});
