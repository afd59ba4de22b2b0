import { describe, expect, it } from 'vitest';
import { readRetentionConfig, readRetentionDays } from '../../lambda/config.ts';

const DATABASE_URL = 'postgres://localhost/logins';

describe('the configuration of the retention', () => {
  it('says which database, and how many days it keeps', () => {
    expect(readRetentionConfig({ DATABASE_URL, RETENTION_DAYS: '400' })).toEqual({
      database: { kind: 'url', url: DATABASE_URL },
      retentionDays: 400,
    });
  });

  it.each(['1', '3650'])('takes %s days', (text) => {
    expect(readRetentionDays({ RETENTION_DAYS: text })).toBe(Number(text));
  });

  it.each(['0', '3651', '-1', '1.5', '1e2', ' 7', 'all'])('refuses "%s" in one line, by its name', (text) => {
    expect(() => readRetentionDays({ RETENTION_DAYS: text })).toThrow(
      `RETENTION_DAYS: expected a number from 1 to 3650, got ${text.length} other characters`,
    );
  });

  it('keeps everything without it, and then has no partitions to keep', () => {
    expect(readRetentionDays({})).toBeUndefined();
    expect(() => readRetentionConfig({ DATABASE_URL })).toThrow(
      'RETENTION_DAYS: expected a value, got nothing',
    );
  });
});
