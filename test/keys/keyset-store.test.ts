import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs, {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { hostname, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { identify } from '../../bin/keys/identity.ts';
import { findKeyset } from '../../bin/keys/keyset-store.ts';
import { CALLER, SERVICE_MESSAGE, secretArn, useAwsServer } from '../support/aws-server.ts';
import { KEYSET_JSON } from '../support/records.ts';

const aws = useAwsServer();
const ARN = secretArn('keyset');
const OTHER = JSON.stringify({ primary: 'k2', k1: 'a'.repeat(43), k2: 'b'.repeat(43) });
const THIRD = JSON.stringify({ primary: 'k3', k3: 'c'.repeat(43) });

let directory = '';
let file = '';

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'vizard-test-'));
  file = join(directory, 'keyset.json');
  writeFileSync(file, KEYSET_JSON, { mode: 0o600 });
});
afterEach(() => {
  vi.unstubAllEnvs();
  for (const [name, value] of Object.entries(aws.env())) vi.stubEnv(name, value);
  rmSync(directory, { recursive: true });
});

async function messageOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (error: unknown) => error as Error,
  );
  expect(error?.name).toMatch(/^(Vizard|Keyset)Error$/);
  expect(error!.message).not.toMatch(/aaaa|bbbb|cccc|\n/);
  expect(error!.message).not.toContain(SERVICE_MESSAGE);
  return error!.message;
}

describe('the keyset that is meant', () => {
  it.each<[string, object, object, string]>([
    ['the file that is named', { keyset: 'FILE' }, { MASKING_KEYSET: OTHER }, 'file'],
    ['the secret that is named', { keysetSecret: ARN }, { MASKING_KEYSET: OTHER }, 'secret'],
    ['the secret of the environment', { dataDir: 'DIR' }, { MASKING_KEYSET_SECRET_ARN: ARN }, 'secret'],
    ['the text of the environment', { dataDir: 'DIR' }, { MASKING_KEYSET: KEYSET_JSON }, 'inline'],
    ['the file kept with the data', { dataDir: 'DIR' }, {}, 'file'],
  ])('is %s', async (_which, options, env, kind) => {
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
    aws.secrets.set(ARN, KEYSET_JSON);
    const places: Record<string, string> = { FILE: file, DIR: directory };
    const named = Object.fromEntries(Object.entries(options).map(([k, v]) => [k, places[v] ?? v]));

    const store = findKeyset(named);

    expect(store.kind).toBe(kind);
    expect((await store.read()).primary).toBe('k1');
  });

  it('is never one of two', () => {
    expect(() => findKeyset({ keyset: file, keysetSecret: ARN })).toThrow(
      '--keyset and --keyset-secret exclude each other',
    );
  });

  it.each<[string, () => string, string]>([
    ['is not there', () => join(directory, 'none'), 'cannot be read (ENOENT); name one with --keyset'],
    ['is a folder', () => directory, 'cannot be read (EISDIR)'],
  ])('that %s is said in one line', async (_what, name, message) => {
    expect(await messageOf(findKeyset({ keyset: name() }).read())).toContain(message);
  });

  it('that stands in the environment is not changed', async () => {
    vi.stubEnv('MASKING_KEYSET', KEYSET_JSON);
    const store = findKeyset({});

    expect(await messageOf(store.write(OTHER, KEYSET_JSON))).toContain('name a file with --keyset');
  });
});

describe('a keyset in a file', () => {
  it('is replaced as a whole, keeps its mode, and leaves nothing beside it', async () => {
    chmodSync(file, 0o640);

    await findKeyset({ keyset: file }).write(OTHER, KEYSET_JSON);

    expect(readFileSync(file, 'utf8')).toBe(OTHER);
    expect(statSync(file).mode & 0o777).toBe(0o640);
    expect(readdirSync(directory)).toEqual(['keyset.json']);
  });

  it('belongs to whom it belonged, who goes on reading it', async () => {
    // Who is not root can give it to none but a group of their own.
    const { uid, gid } = statSync(file);
    const owner =
      process.getuid!() === 0
        ? { uid: 65_534, gid: 65_533 }
        : { uid, gid: process.getgroups!().at(-1) ?? gid };
    chownSync(file, owner.uid, owner.gid);

    await findKeyset({ keyset: file }).write(OTHER, KEYSET_JSON);

    expect(readFileSync(file, 'utf8')).toBe(OTHER);
    expect(statSync(file)).toMatchObject(owner);
  });

  it('is left as it is by whoever may not keep its owner', async () => {
    vi.spyOn(fs, 'fchownSync').mockImplementation(() => {
      throw Object.assign(new Error('denied'), { code: 'EPERM' });
    });
    syncBuiltinESMExports();
    try {
      const message = await messageOf(findKeyset({ keyset: file }).write(OTHER, KEYSET_JSON));

      expect(message).toContain('cannot be written (EPERM); nothing was changed; run it as the user');
    } finally {
      vi.restoreAllMocks();
      syncBuiltinESMExports();
    }
    expect(readFileSync(file, 'utf8')).toBe(KEYSET_JSON);
    expect(readdirSync(directory)).toEqual(['keyset.json']);
  });

  it('says what to do with something that stands where its lock would', async () => {
    mkdirSync(`${file}.lock`);

    const message = await messageOf(findKeyset({ keyset: file }).write(OTHER, KEYSET_JSON));

    expect(message).toBe(
      `${file}.lock: expected the lock of a command that changes the keyset, which is a symbolic link, got something else; nothing was changed, remove it`,
    );
    expect(readFileSync(file, 'utf8')).toBe(KEYSET_JSON);
  });

  it('stays where a link leads to it', async () => {
    const link = join(directory, 'link.json');
    symlinkSync(file, link);

    await findKeyset({ keyset: link }).write(OTHER, KEYSET_JSON);

    expect(readFileSync(file, 'utf8')).toBe(OTHER);
    expect(readdirSync(directory).toSorted()).toEqual(['keyset.json', 'link.json']);
  });

  it('that somebody has changed meanwhile is left as it is', async () => {
    writeFileSync(file, THIRD);

    const message = await messageOf(findKeyset({ keyset: file }).write(OTHER, KEYSET_JSON));

    expect(message).toContain('somebody changes at the same time');
    expect(readFileSync(file, 'utf8')).toBe(THIRD);
    expect(readdirSync(directory)).toEqual(['keyset.json']);
  });

  it('that another process is changing is left alone, and one that was killed holds nobody up', async () => {
    const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    symlinkSync(String(other.pid), `${file}.lock`);
    writeFileSync(`${file}.next`, 'half of a k');
    const store = findKeyset({ keyset: file });
    try {
      expect(await messageOf(store.write(OTHER, KEYSET_JSON))).toContain('somebody changes at the same time');
      expect(readFileSync(file, 'utf8')).toBe(KEYSET_JSON);
    } finally {
      other.kill('SIGKILL');
      await once(other, 'exit');
    }

    await store.write(OTHER, KEYSET_JSON);

    expect(readFileSync(file, 'utf8')).toBe(OTHER);
    expect(readdirSync(directory)).toEqual(['keyset.json']);
  });

  it('is changed over the lock of a process that was killed and had our number', async () => {
    symlinkSync(String(process.pid), `${file}.lock`);

    await findKeyset({ keyset: file }).write(OTHER, KEYSET_JSON);

    expect(readFileSync(file, 'utf8')).toBe(OTHER);
    expect(readdirSync(directory)).toEqual(['keyset.json']);
  });

  it('takes one of many changes that begin at once', async () => {
    const texts = Array.from({ length: 6 }, (_, i) =>
      JSON.stringify({ primary: 'k1', k1: String.fromCharCode(97 + i).repeat(43) }),
    );
    const program = `
      const { findKeyset } = await import(${JSON.stringify(new URL('../../bin/keys/keyset-store.ts', import.meta.url).href)});
      const [file, text, expected] = process.argv.slice(1);
      await findKeyset({ keyset: file }).write(text, expected).then(() => console.log('written'), () => {});`;
    const written = await Promise.all(
      texts.map(async (text) => {
        const args = ['--input-type=module', '-e', program, file, text, KEYSET_JSON];
        const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
        let output = '';
        child.stdout.on('data', (chunk: Buffer) => {
          output += chunk.toString();
        });
        await once(child, 'close');
        return output.trim() === 'written' ? [text] : [];
      }),
    );

    expect(written.flat()).toEqual([readFileSync(file, 'utf8')]);
  });
});

describe('a keyset that is a secret', () => {
  it('is read anew each time, and replaced where it is what was expected', async () => {
    aws.secrets.set(ARN, KEYSET_JSON);
    const store = findKeyset({ keysetSecret: ARN });

    expect((await store.read()).primary).toBe('k1');
    await store.write(OTHER, KEYSET_JSON);

    expect((await store.read()).primary).toBe('k2');
    expect(aws.previous.get(ARN)).toEqual([KEYSET_JSON]);
  });

  it('that somebody has changed meanwhile is left as it is', async () => {
    aws.secrets.set(ARN, THIRD);

    const message = await messageOf(findKeyset({ keysetSecret: ARN }).write(OTHER, KEYSET_JSON));

    expect(message).toContain('somebody changes at the same time');
    expect(aws.secrets.get(ARN)).toBe(THIRD);
  });

  it('takes one of two changes of the same version, even when both have read it', async () => {
    aws.secrets.set(ARN, KEYSET_JSON);
    const write = (text: string) => findKeyset({ keysetSecret: ARN }).write(text, KEYSET_JSON);

    const results = await Promise.allSettled([write(OTHER), write(THIRD)]);

    expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(aws.secrets.get(ARN)).toBe(results[0]!.status === 'fulfilled' ? OTHER : THIRD);
    expect(aws.previous.get(ARN)).toEqual([KEYSET_JSON]);
  });

  it('can forget the version before', async () => {
    aws.secrets.set(ARN, KEYSET_JSON);
    const store = findKeyset({ keysetSecret: ARN });
    await store.write(THIRD, KEYSET_JSON);

    await store.forgetPrevious();

    expect(aws.secrets.get(ARN)).toBe(THIRD);
    expect(aws.previous.get(ARN)?.at(-1)).toBe(THIRD);
  });

  it.each([
    ['AccessDeniedException', 'RecoveryPolicy to read it'],
    ['ResourceNotFoundException', 'name a secret that exists'],
    ['InternalServiceError', 'check the region'],
  ])('that cannot be had because of %s is said in one line', async (error, advice) => {
    aws.secrets.set(ARN, { error });

    const message = await messageOf(findKeyset({ keysetSecret: ARN }).read());

    expect(message).toContain(`cannot be read (${error})`);
    expect(message).toContain(advice);
  });

  it('is asked for in the region of its ARN', async () => {
    vi.stubEnv('AWS_REGION', undefined);
    vi.stubEnv('AWS_CONFIG_FILE', '/dev/null');
    aws.secrets.set(ARN, KEYSET_JSON);

    expect((await findKeyset({ keysetSecret: ARN }).read()).primary).toBe('k1');
    expect(await messageOf(findKeyset({ keysetSecret: 'name' }).read())).toContain('(no_region)');
  });
});

describe('who acts', () => {
  it('is, where the keyset is a secret, whom AWS knows', async () => {
    expect(await identify(findKeyset({ keysetSecret: ARN }))).toBe(CALLER);
  });

  it('is nobody, and nothing is done, where AWS does not say', async () => {
    aws.caller.arn = { error: 'ExpiredToken' };

    expect(await messageOf(identify(findKeyset({ keysetSecret: ARN })))).toContain(
      'AWS does not say who you are (ExpiredToken)',
    );
  });

  it('is the user of the machine elsewhere', async () => {
    expect(await identify(findKeyset({ keyset: file }))).toBe(`${userInfo().username}@${hostname()}`);
    expect(aws.requests).toEqual([]);
  });
});
