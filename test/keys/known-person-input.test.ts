import { describe, expect, it } from 'vitest';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import {
  access,
  DEVICE,
  expectNothingPlanted,
  expectNothingShown,
  KEYS,
  personStore,
  trail,
} from '../support/recovery.ts';

const database = useDatabase();
const createCli = useCli();
const createFunction = useFunctions();
const store = personStore(database, createFunction);

/** With the person's device on standard input. */
function ask(command: readonly string[], input: Uint8Array) {
  return createCli().run([...command, ...access(database.url), '--device-id', '-'], { ...KEYS, input });
}

describe('a value on standard input', () => {
  it.each([
    ['no end of line', DEVICE],
    ['a line feed at its end', `${DEVICE}\n`],
    ['an end of line as on Windows', `${DEVICE}\r\n`],
    ['a byte order mark', `\ufeff${DEVICE}\r\n`],
  ])('is found with %s', async (_what, text) => {
    await store();

    expect((await ask(['lookup', '--json'], Buffer.from(text))).json()).toMatchObject({ total: 1 });
  });

  const NO_TEXT = 'got bytes that are none; convert it to UTF-8';
  const LINES = 'got more than one line; ask for each value by itself';
  it.each([
    ['is in Latin-1', Buffer.from(`${DEVICE}é\n`, 'latin1'), NO_TEXT],
    ['is in UTF-16', Buffer.from(`\ufeff${DEVICE}\n`, 'utf16le'), NO_TEXT],
    ['is one of two', Buffer.from(`${DEVICE}\nCANARY-DEVICE-2\n`), LINES],
    ['is one of two as on Windows', Buffer.from(`${DEVICE}\r\nCANARY-DEVICE-2`), LINES],
    ['is followed by an empty line', Buffer.from(`${DEVICE}\n\n`), LINES],
    ['ends as on an old Macintosh', Buffer.from(`${DEVICE}\rCANARY-DEVICE-2\r`), LINES],
  ])(
    'that %s is refused in one line that does not quote it, and nothing is said of rows',
    async (_what, input, message) => {
      await store();

      for (const command of [['lookup'], ['erase', '--yes'], ['erase', '--dry-run']]) {
        const result = await ask(command, input);

        await expectNothingShown(database, result);
        expect(result.stderr).toBe(
          `vizard: --device-id: expected one line of UTF-8 on standard input, ${message}\n`,
        );
        expectNothingPlanted(result.stderr);
      }
      expect(await trail(database)).toEqual([]);
      expect(await database.count()).toBe(1);
    },
  );
});
