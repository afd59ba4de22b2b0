import { readFileSync } from 'node:fs';
import type { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, it } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { ROLES } from '../../lambda/names.ts';
import { permissions, ROLE_KINDS } from '../../lambda/postgres/roles/permissions.ts';
import { MODES, resources, template } from './deployments.ts';
import { managedPermissions, permissions as permissionsOf } from './permissions.ts';

const DOCS = readFileSync(new URL('../../docs/masking.md', import.meta.url), 'utf8');

/** Cells of the table after a comment, heading first, without code marks. */
function tableAfter(comment: string): string[][] {
  const [, rest = ''] = DOCS.split(`<!-- ${comment} -->\n\n`);
  const [table = ''] = rest.split('\n\n');
  return table
    .split('\n')
    .filter((_, line) => line !== 1)
    .map((line) => line.split('|').slice(1, -1))
    .map((cells) => cells.map((cell) => cell.trim().replaceAll('`', '')));
}

const NONE = '–';

describe("the documentation's table of rights", () => {
  it('in Postgres is that of the migration', () => {
    const rows = permissions(loginEvents).map(({ relation, roles }) => [
      relation,
      ...ROLE_KINDS.map((kind) => {
        const rights = Object.entries(roles[kind] ?? {}).map(([privilege, columns]) =>
          columns === 'all' ? privilege : `${privilege} (${columns.join(', ')})`,
        );
        return rights.join(', ') || NONE;
      }),
    ]);

    expect(tableAfter('by Postgres')).toEqual([
      ['in Postgres', ...ROLE_KINDS.map((kind) => ROLES[kind])],
      ...rows,
    ]);
  });

  it('on AWS is that of the template', () => {
    const stack = template({ ...MODES.aurora, recovery: 'sealed', retentionDays: '30' });

    expect(tableAfter('by IAM, with recovery=sealed')).toEqual([
      ['on AWS', 'keyset', 'recovery key', 'queue', 'database, as'],
      ['ingest function', ...cells(permissionsOf(stack, 'IngestRole'))],
      ['probe function', ...cells(permissionsOf(stack, 'IngestProbeRole'))],
      ['migration function', ...cells(permissionsOf(stack, 'IngestSchemaRole'))],
      ['retention function', ...cells(permissionsOf(stack, 'RetentionRole'))],
      ['circuit breaker', ...cells(permissionsOf(stack, 'BreakerRole'))],
      ['finder of the public half', ...cells(permissionsOf(stack, 'RecoveryKeyPublicKeyRole'))],
      ['RecoveryPolicy', ...cells(managedPermissions(stack, 'RecoveryPolicy'))],
      ['CustodianPolicy', ...cells(managedPermissions(stack, 'CustodianPolicy'))],
    ]);
    expect(rolesOf(stack)).toEqual([
      'Breaker',
      'Ingest',
      'IngestProbe',
      'IngestSchema',
      'RecoveryKeyPublicKey',
      'Retention',
    ]);
  });
});

/** Those of functions of ours. */
function rolesOf(stack: Template): string[] {
  return Object.keys(resources(stack, 'AWS::IAM::Role'))
    .map((id) => id.replace(/Role[0-9A-F]{8}$/, ''))
    .filter((name) => !/^Database|Provider$/.test(name))
    .toSorted();
}

/** What permissions mean for the keyset, the recovery key, the queue and the database. */
function cells(lines: readonly string[]): string[] {
  const has = (line: string) => lines.includes(`Allow ${line}`);
  const keyset = [
    has('secretsmanager:GetSecretValue KeysetSecret') && 'read',
    has('secretsmanager:PutSecretValue KeysetSecret') && 'replace',
  ];
  const recoveryKey = [
    has('kms:Decrypt RecoveryKey.Arn') && 'decrypt',
    has('kms:GetPublicKey RecoveryKey.Arn') && 'public half',
  ];
  const queue = [has('sqs:ReceiveMessage Queue.Arn') && 'receive'];
  const [, user = false] = /dbuser:.*\/(\w+)$/m.exec(lines.join('\n')) ?? [];
  const administers = lines.some((line) => line.includes('MasterUserSecret'));
  const database = [user, administers && 'administrator'];
  return [keyset, recoveryKey, queue, database].map((some) => some.filter(Boolean).join(', ') || NONE);
}
