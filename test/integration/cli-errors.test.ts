import { describe, expect, it } from 'vitest';
import { useCli } from '../support/cli.ts';

const createCli = useCli();

describe('what cannot be done', () => {
  const unreachable = ['--database-url', 'postgres://u:secret@127.0.0.1:1/db', '--input', '/dev/null'];
  it.each<[string[], string]>([
    [['run', '--folow'], "unknown option '--folow' (Did you mean --follow?)"],
    [['bogus'], 'unknown command'],
    [['run', 'file'], 'too many arguments'],
    [['run', '--input', '/nowhere/file'], 'input file /nowhere/file cannot be read (ENOENT)'],
    [['run', '--input', '/'], 'input file / cannot be read (EISDIR)'],
    [['run', '--keyset', '/nowhere/file'], 'keyset file /nowhere/file cannot be read (ENOENT)'],
    [['run', '--data-dir', '/dev/null'], 'keyset file /dev/null/keyset.json cannot be written (E'],
    [['run', '--batch-size', '10001'], 'Expected a whole number from 1 to 10000'],
    [['run', '--max-receive-count', '0'], 'Expected a whole number from 1 to 1000'],
    [['run', '--masking', 'none'], '--masking: expected recoverable or irreversible'],
    [['run', '--queue-url', 'queue'], 'Expected an http or https URL'],
    [
      ['run', '--queue-url', 'http://127.0.0.1:1/0/q', '--input', '-'],
      '--input and --queue-url exclude each other',
    ],
    [['run', '--endpoint-url', 'http://127.0.0.1:1'], '--endpoint-url needs --queue-url'],
    [
      ['run', '--queue-url', 'http://127.0.0.1:1/0/q'],
      'the queue http://127.0.0.1:1/0/q cannot be reached (ECONNREFUSED)',
    ],
    [['run', '--keyset', '/dev/null', ...unreachable], 'keyset file /dev/null: expected a JSON object'],
    [
      ['run', ...unreachable],
      'the database at 127.0.0.1:1 cannot be used (ECONNREFUSED); check --database-url',
    ],
    [['run', '--database-url', 'mysql://u:secret@h/d'], '--database-url: expected a URL like postgres://'],
    [['send', '/nowhere/file'], 'input file /nowhere/file cannot be read (ENOENT)'],
    [['send'], "missing required argument 'file'"],
    [['send', '/dev/null'], 'no running instance found'],
    [['send', '/dev/null', '--data-dir', '/nowhere'], 'no queue is kept in /nowhere'],
    [['send', '/dev/null', '--data-dir', ''], "'--data-dir <dir>' argument is invalid. Expected the name"],
    [
      ['send', '/dev/null', '--queue-url', 'http://127.0.0.1:1/0/q', '--data-dir', 'data'],
      '--queue-url and --data-dir exclude each other',
    ],
    [['lookup', '--reason', 'x', '--ipp=secret'], "unknown option '--ipp'"],
    [['lookup', '--reason', 'x', '-secret'], "unknown option '-s'"],
    [['secret'], 'unknown command'],
    [['audit', "se'secret"], 'unknown command'],
    [['lookup', '--reason', 'x', '--limit', 'secret'], "'--limit <n>' argument is invalid. Expected a whole"],
    [['lookup', '--reason', 'x', '--ip', 'secret', '--ip', 'secret'], '--ip: expected one value, got two'],
    [['erase', '--reason', 'x', '--ip=secret', '--ip=secret'], '--ip: expected one value, got two'],
    [['lookup', '--reason', 'x', 'secret'], 'Expected 0 arguments but got 1'],
    [['audit', 'verify', '--head', 'x'], 'Expected 64 characters 0-9 a-f'],
    [['audit', 'list'], 'or set DATABASE_URL'],
    [
      ['audit', 'list', '--database-url', 'postgres://u:secret@127.0.0.1:1/db'],
      '(ECONNREFUSED); check --database-url',
    ],
    [['recover', '--reason', 'x', 'y', '--data-dir', '/nowhere'], 'no database is kept in /nowhere'],
    [['erase', '--reason', 'x', '--ip', '192.0.2.1'], 'expected a terminal to ask on, got none'],
    [['show'], 'no running instance found'],
    [['show', '--limit', 'x'], 'Expected a whole number'],
    [['show', '--data-dir', '/nowhere'], 'no database is kept in /nowhere'],
    [
      ['show', '--database-url', 'postgres://127.0.0.1:1/db', '--data-dir', 'data'],
      '--database-url and --data-dir exclude each other',
    ],
    [
      ['show', '--database-url', 'postgres://u:secret@127.0.0.1:1/db'],
      'the database cannot be read (ECONNREFUSED)',
    ],
  ])('%j is one clear line and exit code 2', async (args, message) => {
    const { exitCode, stdout, stderr } = await createCli().run(args);

    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    const lines = stderr
      .trimEnd()
      .split('\n')
      .filter((line) => !line.startsWith('new keyset in '));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^vizard: /);
    expect(lines[0]).toContain(message);
    expect(stderr).not.toContain('secret');
  });

  it.each(
    [[], ['run'], ['send'], ['show'], ['recover'], ['lookup'], ['erase'], ['audit'], ['audit', 'verify']].map(
      (args) => [[...args, '--help']],
    ),
  )('%j shows what there is', async (args) => {
    const { exitCode, stdout } = await createCli().run(args);

    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^Usage: vizard/);
  });
});
