import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { DatabaseError } from 'pg';
import { describe, expect, it } from 'vitest';
import { ConfigError, DatabaseFailure } from '../../../lambda/errors.ts';
import { FieldError } from '../../../lambda/events/rejection.ts';
import {
  classify,
  errorCode,
  type Failure,
  isDatabaseFault,
  refusedField,
} from '../../../lambda/postgres/sqlstate.ts';

const INDEX = 'user_logins_event_key';
const SENTINEL = 'Key (ip)=(203.0.113.7) sentinel';

/** Codes of https://www.postgresql.org/docs/current/errcodes-appendix.html by what they mean for the rows. */
const MEANINGS: Readonly<Record<Exclude<Failure, 'duplicate'>, readonly string[]>> = {
  row: [
    '22000',
    '22001',
    '22003',
    '22007',
    '22008',
    '22P02',
    '22P05',
    '23502',
    '23503',
    '23P01',
    '54000',
    'P0001',
  ],
  transient: [
    '08000',
    '08001',
    '08003',
    '08004',
    '08006',
    '25P03',
    '25006',
    '53000',
    '53100',
    '53200',
    '53300',
    '53400',
    '57P01',
    '57P02',
    '57P03',
    '57P04',
    '57P05',
    '58000',
    '58030',
    '58P01',
  ],
  contention: ['40001', '40P01', '55P03'],
  unknown: ['08007', '40003'],
  slow: ['25P04', '57014'],
  credentials: ['28000', '28P01'],
  deployment: [
    '08P01',
    '0A000',
    '22021',
    '22P03',
    '22P04',
    '25P02',
    '3D000',
    '3F000',
    '42501',
    '42601',
    '42703',
    '42P01',
    '42P10',
    '42804',
    'P0002',
    'P0004',
    'XX000',
  ],
};

const SYSTEM_CODES = [
  'ECONNRESET',
  'ECONNREFUSED',
  'ETIMEDOUT',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
];

describe('classify', () => {
  it.each(Object.entries(MEANINGS).flatMap(([failure, codes]) => codes.map((code) => [code, failure])))(
    '%s is %s',
    (code, failure) => {
      expect(classify(databaseError({ code }), INDEX)).toBe(failure);
    },
  );

  it('a unique violation is a duplicate on the idempotency index and refuses the row on any other', () => {
    expect(classify(databaseError({ code: '23505', constraint: INDEX }), INDEX)).toBe('duplicate');
    expect(classify(databaseError({ code: '23505', constraint: 'user_logins_pkey' }), INDEX)).toBe('row');
    expect(classify(databaseError({ code: '23505' }), INDEX)).toBe('row');
  });

  it.each(['20231114', 'default', 'history'])(
    'a duplicate in the partition %s is one of the table',
    (name) => {
      const constraint = `user_logins_${name}_event_key`;

      expect(classify(databaseError({ code: '23505', constraint }), INDEX)).toBe('duplicate');
      expect(classify(databaseError({ code: '23505', constraint: `x${constraint}` }), INDEX)).toBe('row');
      expect(classify(databaseError({ code: '23505', constraint: `${constraint}s` }), INDEX)).toBe('row');
    },
  );

  it('a row for whose day a partition is made while it waits goes to that one, and is not to blame', () => {
    const routine = 'ExecPartitionCheckEmitError';

    expect(classify(databaseError({ code: '23514', routine }), INDEX)).toBe('contention');
    expect(classify(databaseError({ code: '23514', routine: 'ExecFindPartition' }), INDEX)).toBe(
      'deployment',
    );
  });

  it('a violated check refuses the row; without a constraint it is a missing partition', () => {
    expect(classify(databaseError({ code: '23514', constraint: 'locale_known' }), INDEX)).toBe('row');
    expect(classify(databaseError({ code: '23514' }), INDEX)).toBe('deployment');
  });

  it.each(['42P01', '57014', '40001', '53300'])('%s is no duplicate because of a constraint name', (code) => {
    const failure = classify(databaseError({ code }), INDEX);

    expect(classify(databaseError({ code, constraint: INDEX }), INDEX)).toBe(failure);
  });

  it.each(SYSTEM_CODES)('a socket error %s is transient', (code) => {
    expect(classify(Object.assign(new Error(SENTINEL), { code }), INDEX)).toBe('transient');
  });

  it('an error without a code is transient', () => {
    expect(classify(new Error('Connection terminated unexpectedly'), INDEX)).toBe('transient');
    expect(classify(new Error('timeout expired'), INDEX)).toBe('transient');
    expect(classify(databaseError({}), INDEX)).toBe('transient');
  });

  it.each(['22001', '23505', '42P01'])('a foreign error with the code %s blames nothing on a row', (code) => {
    expect(classify(Object.assign(new Error(SENTINEL), { code, constraint: INDEX }), INDEX)).toBe(
      'transient',
    );
  });
});

describe('errorCode', () => {
  it.each(['22001', '22P05', '57P01', 'XX000', ...SYSTEM_CODES, 'ERR_TLS_CERT_ALTNAME_INVALID'])(
    'is %s',
    (code) => {
      expect(errorCode(databaseError({ code }))).toBe(code);
      expect(errorCode(Object.assign(new Error(SENTINEL), { code }))).toBe(code);
    },
  );

  it('is the code of an error for several addresses', () => {
    const refused = Object.assign(new Error(SENTINEL), { code: 'ECONNREFUSED' });

    expect(errorCode(Object.assign(new AggregateError([refused, refused]), { code: 'ECONNREFUSED' }))).toBe(
      'ECONNREFUSED',
    );
  });

  it.each([
    ['an error without a code', new Error(SENTINEL)],
    ['a database error without a code', databaseError({})],
    ['a message in the place of a code', { code: SENTINEL }],
    ['an address in the place of a code', { code: '203.0.113.7' }],
    ['a code of several lines', { code: '22001\nsentinel' }],
    ['an overlong code', { code: 'A'.repeat(41) }],
    ['an empty code', { code: '' }],
    ['a number', { code: 22001 }],
    ['a text', SENTINEL],
    ['null', null],
    ['undefined', undefined],
  ])('is never taken from %s', (_, error) => {
    expect(errorCode(error)).toBe('connection_lost');
  });

  it('is never the message, detail, context or column of a database error', () => {
    const error = databaseError({ code: '22P02', detail: SENTINEL, where: SENTINEL, column: 'ip' });

    expect(errorCode(error)).toBe('22P02');
  });
});

describe('isDatabaseFault', () => {
  it.each([
    ['an error of the server', databaseError({ code: '42P01' })],
    ['a lost connection', new Error('Connection terminated unexpectedly')],
    ['an error with a system code', Object.assign(new Error('read'), { code: 'ECONNRESET' })],
    ['several failed addresses of one host', new AggregateError([new Error('connect')])],
  ])('is true of %s', (_, error) => {
    expect(isDatabaseFault(error)).toBe(true);
  });

  it.each([
    ['that nobody listens on', refusedConnection],
    ['that does not exist', () => connectionError({ path: '/nonexistent/.s.PGSQL.5432' })],
  ])('is true of what node:net says of a socket %s', async (_, attempt) => {
    const error = await attempt();

    expect(isDatabaseFault(error)).toBe(true);
    expect(classify(error, INDEX)).toBe('transient');
    expect(errorCode(error)).toMatch(/^(ECONNREFUSED|ENOENT)$/);
  });

  it.each([
    ['a TypeError', new TypeError('x is not a function')],
    ['a RangeError', new RangeError('invalid array length')],
    ['a refused setting', new ConfigError('MASKING: expected recoverable')],
    ['a refused field', new FieldError('format')],
    ['a failure that was reported already', new DatabaseFailure('the database cannot be reached', '57P03')],
    ['a text', 'ECONNRESET'],
    ['an object that only looks like an error', { code: '42P01', message: 'relation' }],
    ['null', null],
    ['undefined', undefined],
  ])('is false of %s', (_, error) => {
    expect(isDatabaseFault(error)).toBe(false);
  });
});

type Details = Partial<
  Pick<DatabaseError, 'code' | 'constraint' | 'detail' | 'where' | 'column' | 'file' | 'routine'>
>;

/** What pg rejects a statement with; its message quotes a value, as the server's does. */
function databaseError(details: Details): DatabaseError {
  return Object.assign(new DatabaseError(SENTINEL, SENTINEL.length, 'error'), details);
}

/** Of a port that was free a moment ago. */
async function refusedConnection(): Promise<unknown> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('not a TCP server');
  return connectionError({ host: '127.0.0.1', port: address.port });
}

async function connectionError(where: { path: string } | { host: string; port: number }): Promise<unknown> {
  const [error] = await once(connect(where), 'error');
  return error;
}

describe('refusedField', () => {
  it.each([
    ['execMain.c', { column: 'user_id' }, 'user_id'],
    ['execMain.c', { constraint: 'user_logins_check' }, 'user_logins_check'],
    ['nbtinsert.c', { constraint: 'one_user' }, 'one_user'],
    ['execIndexing.c', { constraint: 'no_overlap' }, 'no_overlap'],
    ['execExprInterp.c', { constraint: 'domain_check' }, 'domain_check'],
    ['ri_triggers.c', { constraint: 'user_fkey' }, 'user_fkey'],
    ['varchar.c', {}, 'row'],
    ['pl_exec.c', { column: SENTINEL, constraint: SENTINEL }, 'row'],
    ['plpy_elog.c', { constraint: SENTINEL }, 'row'],
    [undefined, { constraint: SENTINEL }, 'row'],
  ])('is what %s names of the table, and nothing that a trigger names: %j', (file, names, field) => {
    expect(refusedField(databaseError({ file, ...names }))).toBe(field);
  });
});
