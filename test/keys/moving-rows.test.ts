import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { beforeEach, describe, expect, it } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { keepPartitions } from '../../lambda/postgres/partitions/partitions.ts';
import { type CliResult, useCli } from '../support/cli.ts';
import { useFunctions } from '../support/function.ts';
import { useKeys } from '../support/key-proofs.ts';
import { A_DAY } from '../support/partitions.ts';
import { access } from '../support/recovery.ts';
import { KEYSET_TEXTS } from '../support/rekey.ts';
import { around } from '../support/rekey-run.ts';
import { TODAY, useRekeyTable } from '../support/rekey-table.ts';

const table = useRekeyTable();
const { database } = table;
const createCli = useCli();
const { waiting } = useKeys(database, useFunctions());

const PERSON = ['--device-id', 'device-0-5'];

/** Starts a command when retention has moved the rows, and lets that commit when the command waits for it. */
async function whileRowsMove(command: readonly string[]): Promise<CliResult> {
  const cli = createCli();
  const file = join(cli.directory, 'keyset.json');
  writeFileSync(file, KEYSET_TEXTS.k2);
  const reason = command[1] === 'list' ? ['--database-url', database.url] : access(database.url);
  const retention = new pg.Client(database.url);
  await retention.connect();
  let result: Promise<CliResult> | undefined;
  around(retention, /ATTACH PARTITION/, async (statement) => {
    const attached = await statement();
    result = cli.run([...command, ...reason, '--keyset', file, '--json']);
    await waiting(1);
    return attached;
  });
  await keepPartitions(retention, loginEvents, { today: TODAY, ahead: 2, retentionDays: 30 }, () => {});
  await retention.end();
  return result!;
}

describe('while retention moves rows into a partition of their own', () => {
  beforeEach(async () => {
    await table.make('partitioned');
    const sentTimestamp = String(Date.now() - 3 * A_DAY);
    const late = table.truth
      .records(100)
      .map((record) => ({ ...record, attributes: { ...record.attributes, SentTimestamp: sentTimestamp } }));
    expect(await table.writer('k1').invoke(late)).toEqual([]);
  });

  it.each<[string[], object]>([
    [['lookup', ...PERSON], { total: 2 }],
    [['erase', ...PERSON, '--dry-run'], { erased: 2 }],
    [['rekey', '--from', 'k1', '--to', 'k2', '--dry-run'], { rows: 100 }],
    [['keys', 'list'], { keys: [{ kid: 'k1', rows: { s1: 100 } }, { kid: 'k2' }, { kid: 'k3' }] }],
  ])('%j finds them', async (command, found) => {
    const { exitCode, json } = await whileRowsMove(command);

    expect(exitCode).toBe(0);
    expect(json()).toMatchObject(found);
  });

  it.each([[[]], [['--blank']]])('erase takes them: %j', async (options) => {
    const { exitCode, json } = await whileRowsMove(['erase', ...PERSON, '--yes', ...options]);

    expect(exitCode).toBe(0);
    expect(json()).toMatchObject({ [options.length === 0 ? 'erased' : 'blanked']: 2 });
    const [left] = await database.rows(
      'SELECT count(*)::int AS rows, count(masked_device_id)::int AS masked FROM user_logins',
    );
    expect(left).toEqual({ rows: options.length === 0 ? 98 : 100, masked: 98 });
  });

  it('keys retire refuses a key that they are under', async () => {
    const { exitCode, stdout, stderr } = await whileRowsMove(['keys', 'retire', 'k1']);

    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain('expected no token of it in user_logins, got 100 rows');
  });
});
