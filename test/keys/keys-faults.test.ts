import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { type KeyCommands, useKeyCommands } from '../support/key-commands.ts';
import { FIRST, ROTATED, useKeys } from '../support/key-proofs.ts';
import { records } from '../support/records.ts';

const database = useDatabase();
const { environment } = useKeys(database, useFunctions());
const createCommands = useKeyCommands(database);

/** Runs work while nobody can append to the audit trail. @param work is given who waits for it */
async function whileNobodyAudits<T>(work: (waiting: () => Promise<number>) => Promise<T>): Promise<T> {
  return withClient(database.login, async (client) => {
    await client.query('BEGIN; LOCK TABLE pii_audit IN EXCLUSIVE MODE');
    return work(() =>
      vi.waitFor(
        async () => {
          const [waiting] = await database.rows<{ pid: number }>(
            `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
          );
          return waiting!.pid;
        },
        { timeout: 10_000, interval: 20 },
      ),
    );
  });
}

describe('a keyset whose change cannot be audited', () => {
  it('stays as it is where there is no trail', async () => {
    await environment(ROTATED).invoke(records(1));
    await database.client.query('ALTER TABLE pii_audit RENAME TO gone');
    try {
      const { keys, text } = createCommands(ROTATED);

      const { exitCode, stdout, stderr } = await keys(['retire', 'k1']);

      expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
      expect(stderr).toMatch(/\nvizard: the audit trail pii_audit cannot be written \(42P01\);.*\n$/);
      expect(text()).toBe(ROTATED);
    } finally {
      await database.client.query('ALTER TABLE gone RENAME TO pii_audit');
    }
  });

  it('stays as it is where the connection is lost before the trail is committed', async () => {
    const { start, text } = createCommands(FIRST);

    const running = await whileNobodyAudits(async (waiting) => {
      const { result } = start(['add']);
      await database.client.query('SELECT pg_terminate_backend($1)', [await waiting()]);
      return { result };
    });

    expect(await running.result).toMatchObject({ exitCode: 2, stdout: '' });
    expect(text()).toBe(FIRST);
  });
});

describe('a keyset that two change at once', () => {
  it('lets the second one wait for the first to end', async () => {
    const { start, keys, text } = createCommands(FIRST);

    const { running, second } = await whileNobodyAudits(async (waiting) => {
      const running = start(['add']);
      await waiting();
      return { running, second: await keys(['add']) };
    });

    expect(second).toMatchObject({ exitCode: 2, stdout: '' });
    expect(second.stderr).toMatch(
      /^vizard: another rekey, a change of the keys or an erasure is under way;.*\n$/,
    );
    expect(await running.result).toMatchObject({ exitCode: 0 });
    expect(parseKeyset(text()).kids).toEqual(['k1', 'k2']);
  });

  it('loses no change that was made by other means', async () => {
    const { start, file, text } = createCommands(FIRST);

    const running = await whileNobodyAudits(async (waiting) => {
      const { result } = start(['add']);
      await waiting();
      writeFileSync(file, ROTATED);
      return { result };
    });

    const { exitCode, stdout, stderr } = await running.result;
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain('got a keyset that somebody changes at the same time; nothing was changed');
    expect(text()).toBe(ROTATED);
  });
});

describe('a keyset that is another a moment after it was written', () => {
  /** Takes out of the keyset what is said of the new key, as soon as it stands there. */
  const MEDDLER = `
    import fs from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    const { renameSync } = fs;
    fs.renameSync = (from, to) => {
      renameSync(from, to);
      const { 'k2.added': _, ...members } = JSON.parse(fs.readFileSync(to, 'utf8'));
      fs.writeFileSync(to, JSON.stringify(members));
    };
    syncBuiltinESMExports();`;

  it('is said, whatever in it is another', async () => {
    const { cli, keys, text } = createCommands(FIRST);
    const meddler = join(cli.directory, 'meddler.mjs');
    writeFileSync(meddler, MEDDLER);

    const { exitCode, stdout, stderr } = await keys(['add'], {
      env: { NODE_OPTIONS: `--import=${meddler}` },
    });

    expect(parseKeyset(text()).kids).toEqual(['k1', 'k2']);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toMatch(/^vizard: .*: expected the keyset that was just written, got another;.*\n$/);
  });
});

describe('kill -9 in the middle of the write of a keyset', () => {
  /** Kills its process at one of the calls of the file system that the write makes: before it, or with half a text written. */
  const KILLER = `
    import fs from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    let left = Infinity;
    for (const name of ['symlinkSync', 'openSync', 'fchownSync', 'fchmodSync', 'writeFileSync', 'fsyncSync', 'renameSync', 'rmSync']) {
      const call = fs[name];
      fs[name] = (...args) => {
        if (name === 'symlinkSync') left = Number(process.env.KILL_AT);
        if (left-- === 0) {
          if (name === 'writeFileSync') call(args[0], args[1].slice(0, args[1].length / 2));
          process.kill(process.pid, 'SIGKILL');
        }
        return call(...args);
      };
    }
    syncBuiltinESMExports();`;

  function addAndDie({ cli, keys }: KeyCommands, at: number) {
    const killer = join(cli.directory, 'killer.mjs');
    writeFileSync(killer, KILLER);
    return keys(['add'], { env: { NODE_OPTIONS: `--import=${killer}`, KILL_AT: String(at) } });
  }

  it('leaves the old keyset or the new one, and nothing in the way of the next change', async () => {
    const texts: string[] = [];
    for (let at = 0; ; at++) {
      const commands = createCommands(FIRST);
      const { exitCode } = await addAndDie(commands, at);
      if (exitCode === 0) break;
      expect(exitCode).toBeNull();
      texts.push(commands.text() === FIRST ? 'old' : 'new');
      const kids = parseKeyset(commands.text()).kids;
      expect(kids).toEqual(texts.at(-1) === 'old' ? ['k1'] : ['k1', 'k2']);

      expect((await commands.keys(['add'])).exitCode).toBe(0);
      expect(parseKeyset(commands.text()).kids).toHaveLength(kids.length + 1);
    }
    expect(texts.length).toBeGreaterThan(6);
    expect(texts.join(' ')).toMatch(/^(old )+(new ?)+$/);
  });
});
