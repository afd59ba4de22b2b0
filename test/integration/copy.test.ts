import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { parseBatch } from '../../lambda/events/parse.ts';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { tableMasker } from '../../lambda/masking/table-masker.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { copyEach, copyInto, copyStatement } from '../../lambda/postgres/write/copy.ts';
import { encodeRows } from '../../lambda/postgres/write/copy-rows.ts';
import { useDatabase } from '../support/database.ts';
import { KEYSET_JSON, records } from '../support/records.ts';

const database = useDatabase();
const copy = copyStatement(loginEvents);
const { mask } = tableMasker(parseKeyset(KEYSET_JSON), 'recoverable', loginEvents);

/** Rows for a COPY. */
function file(rows: number): Uint8Array {
  const [chunk] = parseBatch(loginEvents, records(rows));
  return encodeRows(mask(chunk!));
}

describe('COPY in one message', () => {
  it('takes the files of several, with what stands before, between and after them', async () => {
    await withClient(database.login, async (client) => {
      const query = { before: 'BEGIN; SELECT 1', copy, times: 3, between: 'SAVEPOINT s', after: 'COMMIT' };

      expect(await copyInto(client, query, [[file(2)], [], [file(1), file(2)]])).toBe(5);
    });

    expect(await database.count()).toBe(5);
  });

  it('says which of them were done before one failed, and leaves the connection fit for more', async () => {
    await withClient(database.login, async (client) => {
      const twice = file(1);
      const query = { before: 'BEGIN', copy, times: 4, between: 'SAVEPOINT s' };

      const { taken, error } = await copyEach(client, query, [[file(2)], [twice], [twice], [file(4)]]);

      expect(taken).toEqual([2, 1]);
      expect(error).toMatchObject({ code: '23505' });
      await client.query('ROLLBACK TO SAVEPOINT s; COMMIT');
      expect(await copyInto(client, { copy, times: 1 }, [[file(3)]])).toBe(3);
    });

    expect(await database.count()).toBe(6);
  });

  it('stores nothing where what makes the files throws, and leaves the connection fit for more', async () => {
    function* failing() {
      yield [file(2)];
      throw new TypeError('no more');
    }
    await withClient(database.login, async (client) => {
      const query = { before: 'BEGIN', copy, times: 3, after: 'COMMIT' };

      await expect(copyInto(client, query, failing())).rejects.toThrow('no more');

      await client.query('ROLLBACK');
      expect(await copyInto(client, { copy, times: 1 }, [[file(1)]])).toBe(1);
    });

    expect(await database.count()).toBe(1);
  });

  it('stores nothing where there are fewer files than COPYs', async () => {
    await withClient(database.login, async (client) => {
      const query = { before: 'BEGIN', copy, times: 2, after: 'COMMIT' };

      await expect(copyInto(client, query, [[file(2)]])).rejects.toThrow('1 files for 2 COPYs');
      await client.query('ROLLBACK');
    });

    expect(await database.count()).toBe(0);
  });

  it('waits for a query that is not over yet', async () => {
    await withClient(database.login, async (client) => {
      const before = client.query('SELECT pg_sleep(0.05)');
      const copied = copyInto(client, { copy, times: 2 }, [[file(2)], [file(1)]]);
      await nextTurn();

      await before;
      expect(await copied).toBe(3);
    });
  });

  it('sends what follows the rows at once, with parameters, and in the same transaction', async () => {
    await withClient(database.login, async (client) => {
      await client.query('CREATE TEMP TABLE notes (note text)');
      const noted = (note: string) => ({ text: 'INSERT INTO notes VALUES ($1)', values: [note] });
      const query = { before: 'BEGIN', copy, times: 1, afterwards: () => [noted('a'), { text: 'COMMIT' }] };

      expect(await copyInto(client, query, [[file(2)]])).toBe(2);

      expect((await client.query('SELECT note FROM notes')).rows).toEqual([{ note: 'a' }]);
    });
    expect(await database.count()).toBe(2);
  });

  it.each([
    ['the rows fail', () => [{ text: 'COMMIT' }], true, '23505'],
    ['what follows fails', () => [{ text: 'SELECT 1 / 0' }, { text: 'COMMIT' }], false, '22012'],
    ['what follows is no SQL', () => [{ text: 'CANARY' }, { text: 'COMMIT' }], false, '42601'],
  ])(
    'stores nothing where %s, and leaves the connection fit for more',
    async (_name, afterwards, twice, code) => {
      await withClient(database.login, async (client) => {
        const rows = file(1);
        const query = { before: 'BEGIN', copy, times: 1, afterwards };

        const copied = copyInto(client, query, [twice ? [rows, rows] : [rows]]);

        await expect(copied).rejects.toMatchObject({ code });
        await client.query('ROLLBACK');
        expect(await copyInto(client, { copy, times: 1 }, [[file(1)]])).toBe(1);
      });
      expect(await database.count()).toBe(1);
    },
  );

  it('waits with what follows as well for a query that is not over yet', async () => {
    await withClient(database.login, async (client) => {
      const before = client.query('SELECT pg_sleep(0.05)');
      const query = { before: 'BEGIN', copy, times: 1, afterwards: () => [{ text: 'COMMIT' }] };
      const copied = copyInto(client, query, [[file(2)]]);

      await before;
      expect(await copied).toBe(2);
    });
    expect(await database.count()).toBe(2);
  });
});
