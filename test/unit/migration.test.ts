import { describe, expect, it } from 'vitest';
import { adviceFor } from '../../lambda/advice.ts';

describe('the advice for a migration that failed', () => {
  it.each([
    ['ECONNREFUSED', /host, port and security groups/],
    ['28P01', /user and password/],
    ['2BP01', /or a view .* depends on a partition.*; drop it/],
    ['2BP01', /granted .* to others; revoke that from it with CASCADE/],
    ['55000', /publication.*replica identity/],
    ['42501', /log in as the owner of the schema/],
    ['42P01', /table or view is gone/],
    ['42P07', /name that a partition or its index is to have.*rename it/],
    ['42P16', /drop it/],
    ['55P03', /holds a lock .* find it in pg_locks/],
    ['57014', /within the time of the invocation.*CREATE UNIQUE INDEX CONCURRENTLY/],
    ['XX000', /^the code is a SQLSTATE of PostgreSQL$/],
  ])('says what to do about %s, in one line', (code, words) => {
    expect(adviceFor(code)).toMatch(words);
    expect(adviceFor(code)).not.toContain('\n');
  });
});
