import { defaultOf, KEYS, type Name, type Value } from './context-keys.ts';

/** What `cdk deploy -c key=value` says, parsed and checked: everything that a deployment can be told. */
export interface Settings {
  readonly database: DatabaseSettings;
  readonly queue: QueueSettings;
  readonly keyset: KeysetSettings;
  /** Subscribed to the alarms. */
  readonly alarmEmail: string | undefined;
  readonly masking: string;
  readonly recovery: RecoverySettings;
  /** Whether events have a column for the network of their address. */
  readonly ipNetwork: boolean;
  /** Days before today that the table keeps; undefined keeps everything in a plain table. */
  readonly retentionDays: number | undefined;
  /** Messages an invocation takes at most. */
  readonly batchSize: number;
  readonly batchingWindowSeconds: number;
  /** Invocations at a time, each with a database connection of its own. */
  readonly maxConcurrency: number;
  readonly memoryMb: number;
}

export type DatabaseSettings =
  | { readonly kind: 'aurora'; readonly minAcu: number; readonly maxAcu: number }
  | {
      readonly kind: 'existing';
      readonly secretArn: string;
      readonly secretKeyArn: string | undefined;
      /** Wins over what the secret says. */
      readonly host: string | undefined;
      readonly port: number;
      /** Wins over what the secret says. */
      readonly database: string | undefined;
      readonly vpcId: string;
      readonly securityGroupId: string;
    }
  | { readonly kind: 'url'; readonly url: string };

export type QueueSettings =
  | { readonly kind: 'new' }
  | {
      readonly kind: 'existing';
      readonly queueArn: string;
      readonly deadLetterQueueArn: string | undefined;
      readonly keyArn: string | undefined;
    };

export type KeysetSettings =
  | { readonly kind: 'new' }
  | { readonly kind: 'existing'; readonly secretArn: string; readonly keyArn: string | undefined };

export type RecoverySettings =
  | { readonly kind: 'open' }
  | {
      readonly kind: 'sealed';
      /** Base64 of the DER SubjectPublicKeyInfo; undefined makes a key in KMS. */
      readonly publicKey: string | undefined;
    };

/** Context that can't be deployed: one line that says which key, what is allowed and what came. */
export class ContextError extends Error {}

/** Keys that mean something only where another key has a certain value, or is there at all. */
const COMPANIONS: readonly {
  needs: Name;
  value?: string;
  required: readonly Name[];
  optional: readonly Name[];
}[] = [
  { needs: 'database', value: 'aurora', required: [], optional: ['minAcu', 'maxAcu'] },
  {
    needs: 'database',
    value: 'existing',
    required: ['databaseSecretArn', 'vpcId', 'databaseSecurityGroupId'],
    optional: ['databaseHost', 'databasePort', 'databaseName', 'databaseSecretKeyArn'],
  },
  { needs: 'database', value: 'url', required: ['databaseUrl'], optional: [] },
  { needs: 'queueArn', required: [], optional: ['deadLetterQueueArn', 'queueKeyArn'] },
  { needs: 'keysetSecretArn', required: [], optional: ['keysetKeyArn'] },
  { needs: 'recovery', value: 'sealed', required: [], optional: ['recoveryPublicKey'] },
];

/**
 * The only place that reads the context.
 *
 * @param context of the app: ours, and the CDK's own keys, which contain a colon or a slash
 * @throws ContextError for an unknown key, a missing or misplaced companion, a value that is not allowed
 */
export function parseContext(context: Readonly<Record<string, unknown>>): Settings {
  const given = ownContext(context);
  checkCompanions(given);
  const read = <N extends Name>(name: N) => readKey(name, given.get(name));
  const batchSize = read('batchSize')!;
  const batchingWindowSeconds = read('batchingWindowSeconds')!;
  if (batchSize > 10 && batchingWindowSeconds === 0) {
    throw new ContextError('batchingWindowSeconds: expected 1 to 300 with a batchSize above 10, got 0');
  }
  const database = databaseSettings(read);
  checkConnections(database, read('maxConcurrency')!);
  const recovery = recoverySettings(read);
  return Object.freeze({
    database,
    queue: queueSettings(read),
    keyset: keysetSettings(read),
    alarmEmail: read('alarmEmail'),
    masking: recovery.kind === 'sealed' ? sealedMasking(given) : read('masking')!,
    recovery,
    ipNetwork: read('ipNetwork') === 'on',
    retentionDays: read('retentionDays'),
    batchSize,
    batchingWindowSeconds,
    maxConcurrency: read('maxConcurrency')!,
    memoryMb: read('memoryMb')!,
  });
}

type Read = <N extends Name>(name: N) => Value<N> | undefined;

function ownContext(context: Readonly<Record<string, unknown>>): Map<Name, string> {
  const own = new Map<Name, string>();
  for (const [key, value] of Object.entries(context)) {
    if (/[:/]/.test(key)) continue;
    if (!(key in KEYS)) {
      throw new ContextError(`unknown context key ${key}: expected one of ${Object.keys(KEYS).join(', ')}`);
    }
    own.set(key as Name, String(value));
  }
  return own;
}

function checkCompanions(given: ReadonlyMap<Name, string>): void {
  for (const { needs, value, required, optional } of COMPANIONS) {
    const actual = given.get(needs) ?? defaultOf(needs);
    const applies = value === undefined ? actual !== undefined : actual === value;
    const condition = value === undefined ? needs : `${needs}=${value}`;
    const missing = required.filter((name) => !given.has(name));
    if (applies && missing.length > 0) {
      throw new ContextError(
        `${missing[0]}: expected a value with ${condition}, got nothing; add -c ${missing[0]}=…`,
      );
    }
    const misplaced = [...required, ...optional].find((name) => given.has(name));
    if (!applies && misplaced !== undefined) {
      throw new ContextError(
        `${misplaced}: expected only with ${condition}, got ${needs}=${actual ?? 'nothing'}`,
      );
    }
  }
}

/** @returns undefined where nothing is given and there is no default */
function readKey<N extends Name>(name: N, text: string | undefined): Value<N> | undefined {
  const { parse, allowed } = KEYS[name];
  const given = text ?? defaultOf(name);
  if (given === undefined) return undefined;
  const value = parse(given);
  if (value === undefined) {
    // A URL holds a password.
    const got = name === 'databaseUrl' ? `${given.length} other characters` : `"${given}"`;
    throw new ContextError(`${name}: expected ${allowed}, got ${got}`);
  }
  return value as Value<N>;
}

function databaseSettings(read: Read): DatabaseSettings {
  const kind = read('database')!;
  switch (kind) {
    case 'aurora': {
      const [minAcu, maxAcu] = [read('minAcu')!, read('maxAcu')!];
      if (minAcu > maxAcu) throw new ContextError(`minAcu: expected at most maxAcu=${maxAcu}, got ${minAcu}`);
      return { kind, minAcu, maxAcu };
    }
    case 'existing':
      return {
        kind,
        secretArn: read('databaseSecretArn')!,
        secretKeyArn: read('databaseSecretKeyArn'),
        host: read('databaseHost'),
        port: read('databasePort')!,
        database: read('databaseName'),
        vpcId: read('vpcId')!,
        securityGroupId: read('databaseSecurityGroupId')!,
      };
    case 'url':
      return { kind, url: read('databaseUrl')! };
    default:
      return kind satisfies never;
  }
}

/**
 * Aurora's max_connections grows with its most capacity, by about 200 for each unit.
 *
 * @see https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html
 */
function checkConnections(database: DatabaseSettings, maxConcurrency: number): void {
  if (database.kind !== 'aurora') return;
  const most = Math.floor(CONNECTIONS_PER_ACU * database.maxAcu);
  if (maxConcurrency > most) {
    throw new ContextError(
      `maxConcurrency: expected at most ${most} with maxAcu=${database.maxAcu}, got ${maxConcurrency}; each takes a connection`,
    );
  }
}

/** Some are left for people and for RDS itself. */
const CONNECTIONS_PER_ACU = 150;

function queueSettings(read: Read): QueueSettings {
  const queueArn = read('queueArn');
  if (queueArn === undefined) return { kind: 'new' };
  return {
    kind: 'existing',
    queueArn,
    deadLetterQueueArn: read('deadLetterQueueArn'),
    keyArn: read('queueKeyArn'),
  };
}

function keysetSettings(read: Read): KeysetSettings {
  const secretArn = read('keysetSecretArn');
  if (secretArn === undefined) return { kind: 'new' };
  return { kind: 'existing', secretArn, keyArn: read('keysetKeyArn') };
}

function recoverySettings(read: Read): RecoverySettings {
  const kind = read('recovery')!;
  return kind === 'open' ? { kind } : { kind, publicKey: read('recoveryPublicKey') };
}

/** A function that seals what it masks, but makes tokens that it can open itself, would seal nothing. */
function sealedMasking(given: ReadonlyMap<Name, string>): string {
  const masking = given.get('masking') ?? 'irreversible';
  if (masking === 'irreversible') return masking;
  throw new ContextError(`masking: expected irreversible with recovery=sealed, got "${masking}"`);
}
