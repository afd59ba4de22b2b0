import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Cli, type CliOptions, type CliResult, type RunningCli, useCli } from './cli.ts';
import type { TestDatabase } from './database.ts';

/** A keyset in a file, and the commands on it. */
export interface KeyCommands {
  readonly cli: Cli;
  readonly file: string;
  /** The keyset as it is in the file. */
  text(): string;
  /** A member of it. */
  member(name: string): string | undefined;
  change(members: Readonly<Record<string, string | undefined>>): void;
  /** Runs `vizard keys`; whatever it says holds no material that was in the file before or after. */
  keys(args: readonly string[], options?: CliOptions): Promise<CliResult>;
  start(args: readonly string[]): RunningCli;
}

/** What every change needs. */
export const REASON = 'TICKET-7 rotation';

export function useKeyCommands(database: TestDatabase): (keyset: string) => KeyCommands {
  const createCli = useCli();
  return (keyset) => {
    const cli = createCli();
    const file = join(cli.directory, 'keyset.json');
    writeFileSync(file, keyset, { mode: 0o600 });
    const text = () => readFileSync(file, 'utf8');
    const members = () => JSON.parse(text()) as Record<string, string>;
    const whole = (args: readonly string[]) => [
      'keys',
      ...args,
      ...(args[0] === 'list' ? [] : ['--reason', REASON]),
      '--keyset',
      file,
      '--database-url',
      database.url,
    ];
    return {
      cli,
      file,
      text,
      member: (name) => members()[name],
      change(changes) {
        writeFileSync(file, JSON.stringify({ ...members(), ...changes }));
      },
      async keys(args, options) {
        const before = text();
        const result = await cli.run(whole(args), options);
        expectNoMaterial(result, [before, text()]);
        return result;
      },
      start: (args) => cli.start(whole(args)),
    };
  };
}

/** @param keysets texts, of which no part may have been shown that is as long as material */
export function expectNoMaterial(
  { stdout, stderr }: Pick<CliResult, 'stdout' | 'stderr'>,
  keysets: readonly string[],
): void {
  for (const keyset of keysets) {
    for (const material of Object.values(JSON.parse(keyset) as Record<string, string>)) {
      if (material.length < 43) continue;
      expect(stdout).not.toContain(material.slice(0, 20));
      expect(stderr).not.toContain(material.slice(0, 20));
    }
  }
}

/** ISO 8601. */
export function minutesAgo(minutes: number): string {
  return new Date(Date.now() - minutes * 60_000).toISOString();
}

/** The audit trail, in its order. */
export function readTrail(database: TestDatabase) {
  return database.rows<{ number: number; action: string; kids: string[] }>(
    'SELECT number::int, action, reason, columns, count::int, kids FROM pii_audit ORDER BY number',
  );
}
