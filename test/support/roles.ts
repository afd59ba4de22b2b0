import { randomBytes } from 'node:crypto';
import type { RoleNames } from '../../lambda/postgres/roles.ts';

/** Roles belong to the whole server, and files of tests run at once on one. */
export function uniqueRoles(): RoleNames {
  const suffix = randomBytes(6).toString('hex');
  return { writer: `writer_${suffix}`, reader: `reader_${suffix}` };
}
