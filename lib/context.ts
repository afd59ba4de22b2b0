/** What `cdk deploy -c key=value` says, parsed and checked: everything that a deployment can be told. */
export interface Settings {
  readonly database: DatabaseSettings;
  readonly queue: QueueSettings;
  readonly keyset: KeysetSettings;
  /** Subscribed to the alarms. */
  readonly alarmEmail: string | undefined;
  readonly masking: string;
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

/** Context that can't be deployed: one line that says which key, what is allowed and what came. */
export class ContextError extends Error {}

/** One key of the context, as the README's table shows it. */
export interface ContextKey {
  readonly name: string;
  readonly allowed: string;
  readonly fallback: string;
  readonly meaning: string;
}

interface Key<T> extends ContextKey {
  /** @returns undefined for what is not allowed */
  readonly parse: (text: string) => T | undefined;
}

const oneOf = <T extends string>(...choices: T[]) => ({
  allowed: choices.join(', '),
  parse: (text: string) => choices.find((choice) => choice === text),
});

const number = (min: number, max: number, step = 1) => ({
  allowed: `${min} to ${max}${step === 1 ? '' : ` in steps of ${step}`}`,
  parse: (text: string) => {
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    return value >= min && value <= max && value % step === 0 ? value : undefined;
  },
});

const matching = (allowed: string, pattern: RegExp) => ({
  allowed,
  parse: (text: string) => (pattern.test(text) ? text : undefined),
});

const arn = (service: string, resource: string, allowed: string) =>
  matching(allowed, new RegExp(`^arn:aws[a-z-]*:${service}:[a-z0-9-]+:\\d{12}:${resource}$`));
const secretArn = () =>
  arn(
    'secretsmanager',
    'secret:.+-[A-Za-z0-9]{6}',
    'the complete ARN of a secret, with its last six characters',
  );
const queueArn = () => arn('sqs', '[A-Za-z0-9_-]{1,80}', 'the ARN of a standard queue');
const keyArn = () => arn('kms', 'key/[A-Za-z0-9-]+', 'the ARN of a KMS key');

// Ranges: https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html,
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html,
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html
const KEYS = {
  database: {
    ...oneOf('aurora', 'existing', 'url'),
    fallback: 'aurora',
    meaning:
      'a new Aurora Serverless v2 cluster, a database on RDS that is there, or any Postgres by its URL',
  },
  minAcu: {
    ...number(0, 256, 0.5),
    fallback: '0.5',
    meaning: 'least capacity of the new cluster in Aurora capacity units; 0 lets it pause when idle',
  },
  maxAcu: { ...number(1, 256, 0.5), fallback: '8', meaning: 'most capacity of the new cluster' },
  databaseSecretArn: {
    ...secretArn(),
    fallback: 'required with database=existing',
    meaning: "the administrator's secret: host, port, dbname, username, password; read by the migration only",
  },
  databaseSecretKeyArn: {
    ...keyArn(),
    fallback: 'none',
    meaning: 'the customer key with which that secret is encrypted',
  },
  vpcId: {
    ...matching('the id of a VPC, vpc-…', /^vpc-[0-9a-f]{8,17}$/),
    fallback: 'required with database=existing',
    meaning: 'where the database is',
  },
  databaseSecurityGroupId: {
    ...matching('the id of a security group, sg-…', /^sg-[0-9a-f]{8,17}$/),
    fallback: 'required with database=existing',
    meaning: 'the security group of the database; the functions are let in on port 5432',
  },
  databaseUrl: {
    allowed: 'postgres://user:password@host:5432/database',
    parse: (text: string) =>
      ['postgres:', 'postgresql:'].includes(URL.parse(text)?.protocol ?? '') ? text : undefined,
    fallback: 'required with database=url',
    meaning: 'for emulators: the URL as the function reaches it; nothing is put into a VPC',
  },
  queueArn: { ...queueArn(), fallback: 'a new queue', meaning: 'a queue that is there, to be emptied' },
  deadLetterQueueArn: {
    ...queueArn(),
    fallback: 'not watched',
    meaning: "the dead-letter queue of that queue's own redrive policy, for the alarm",
  },
  queueKeyArn: {
    ...keyArn(),
    fallback: 'none',
    meaning: 'the customer key with which that queue is encrypted',
  },
  keysetSecretArn: {
    ...secretArn(),
    fallback: 'a new keyset',
    meaning: 'a keyset that is there, such as the one that an earlier deployment left',
  },
  keysetKeyArn: {
    ...keyArn(),
    fallback: 'none',
    meaning: 'the customer key with which that keyset is encrypted',
  },
  alarmEmail: {
    ...matching('an e-mail address', /^[^\s@]+@[^\s@]+\.[^\s@]+$/),
    fallback: 'nobody',
    meaning: 'subscribed to the alarms; must confirm a message from AWS',
  },
  masking: {
    ...oneOf('recoverable', 'irreversible'),
    fallback: 'recoverable',
    meaning: 'the scheme of the tokens',
  },
  batchSize: { ...number(1, 10_000), fallback: '10000', meaning: 'most messages an invocation takes' },
  batchingWindowSeconds: {
    ...number(0, 300),
    fallback: '5',
    meaning: 'how long a batch is collected; at least 1 where batchSize is above 10',
  },
  maxConcurrency: {
    ...number(2, 1_000),
    fallback: '10',
    meaning: 'most invocations at a time, each with one database connection',
  },
  memoryMb: {
    ...number(128, 10_240),
    fallback: '1769',
    meaning: 'memory of the ingest function; 1769 is one vCPU',
  },
} satisfies Record<string, Omit<Key<unknown>, 'name'>>;

type Name = keyof typeof KEYS;

/** Every key that this app knows, for the documentation. */
export const CONTEXT_KEYS: readonly ContextKey[] = Object.entries(KEYS).map(
  ([name, { allowed, fallback, meaning }]) => ({ name, allowed, fallback, meaning }),
);

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
    optional: ['databaseSecretKeyArn'],
  },
  { needs: 'database', value: 'url', required: ['databaseUrl'], optional: [] },
  { needs: 'queueArn', required: [], optional: ['deadLetterQueueArn', 'queueKeyArn'] },
  { needs: 'keysetSecretArn', required: [], optional: ['keysetKeyArn'] },
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
  return Object.freeze({
    database: databaseSettings(read),
    queue: queueSettings(read),
    keyset: keysetSettings(read),
    alarmEmail: read('alarmEmail'),
    masking: read('masking')!,
    batchSize,
    batchingWindowSeconds,
    maxConcurrency: read('maxConcurrency')!,
    memoryMb: read('memoryMb')!,
  });
}

type Value<N extends Name> = NonNullable<ReturnType<(typeof KEYS)[N]['parse']>>;
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
    const actual = given.get(needs) ?? (needs === 'database' ? KEYS.database.fallback : undefined);
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
  const { parse, allowed, fallback } = KEYS[name];
  if (text === undefined) return parse(fallback) as Value<N> | undefined;
  const value = parse(text);
  if (value === undefined) {
    // A URL holds a password.
    const got = name === 'databaseUrl' ? `${text.length} other characters` : `"${text}"`;
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
        vpcId: read('vpcId')!,
        securityGroupId: read('databaseSecurityGroupId')!,
      };
    case 'url':
      return { kind, url: read('databaseUrl')! };
    default:
      return kind satisfies never;
  }
}

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
