import { readPublicKey } from './public-key-file.ts';

/** One key of the context, as the README's table shows it. */
export interface ContextKey {
  readonly name: string;
  readonly allowed: string;
  /** The default, or what happens without a value. */
  readonly otherwise: string;
  readonly meaning: string;
}

interface Key<T> {
  readonly allowed: string;
  /** @returns undefined for what is not allowed */
  readonly parse: (text: string) => T | undefined;
  /** As a person would write it. */
  readonly default?: string;
  /** What happens without a value, where there is no default. */
  readonly without?: string;
  readonly meaning: string;
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
export const KEYS = {
  database: {
    ...oneOf('aurora', 'existing', 'url'),
    default: 'aurora',
    meaning:
      'a new Aurora Serverless v2 cluster, a database on RDS that is there, or any Postgres by its URL',
  },
  minAcu: {
    ...number(0, 256, 0.5),
    default: '0.5',
    meaning: 'least capacity of the new cluster in Aurora capacity units; 0 lets it pause when idle',
  },
  maxAcu: { ...number(1, 256, 0.5), default: '8', meaning: 'most capacity of the new cluster' },
  databaseSecretArn: {
    ...secretArn(),
    without: 'required with database=existing',
    meaning: "the administrator's secret: host, dbname, username, password; read by the migration only",
  },
  databaseHost: {
    ...matching('a host name of RDS', /^[a-z0-9.-]+\.rds\.[a-z0-9.-]+$/),
    without: 'host of the secret',
    meaning: 'needed where RDS manages the secret, which then has only username and password',
  },
  databasePort: {
    ...number(1, 65_535),
    default: '5432',
    meaning: 'port of the database; the functions are let in there',
  },
  databaseName: {
    ...matching('the name of a database', /^[A-Za-z_][A-Za-z0-9_-]{0,62}$/),
    without: 'dbname of the secret',
    meaning: 'needed where RDS manages the secret',
  },
  databaseSecretKeyArn: {
    ...keyArn(),
    without: 'none',
    meaning: 'the customer key with which that secret is encrypted',
  },
  vpcId: {
    ...matching('the id of a VPC, vpc-…', /^vpc-[0-9a-f]{8,17}$/),
    without: 'required with database=existing',
    meaning: 'where the database is',
  },
  databaseSecurityGroupId: {
    ...matching('the id of a security group, sg-…', /^sg-[0-9a-f]{8,17}$/),
    without: 'required with database=existing',
    meaning: 'the security group of the database; the functions are let in',
  },
  databaseUrl: {
    allowed: 'postgres://user:password@host:5432/database',
    parse: (text: string) =>
      ['postgres:', 'postgresql:'].includes(URL.parse(text)?.protocol ?? '') ? text : undefined,
    without: 'required with database=url',
    meaning: 'for emulators: the URL as the function reaches it; nothing is put into a VPC',
  },
  queueArn: { ...queueArn(), without: 'a new queue', meaning: 'a queue that is there, to be emptied' },
  deadLetterQueueArn: {
    ...queueArn(),
    without: 'not watched',
    meaning: "the dead-letter queue of that queue's own redrive policy, for the alarm",
  },
  queueKeyArn: {
    ...keyArn(),
    without: 'none',
    meaning: 'the customer key with which that queue is encrypted',
  },
  keysetSecretArn: {
    ...secretArn(),
    without: 'a new keyset',
    meaning: 'a keyset that is there, such as the one that an earlier deployment left',
  },
  keysetKeyArn: {
    ...keyArn(),
    without: 'none',
    meaning: 'the customer key with which that keyset is encrypted',
  },
  alarmEmail: {
    ...matching('an e-mail address', /^[^\s@]+@[^\s@]+\.[^\s@]+$/),
    without: 'nobody',
    meaning: 'subscribed to the alarms; must confirm a message from AWS',
  },
  masking: {
    ...oneOf('recoverable', 'irreversible'),
    default: 'recoverable',
    meaning: 'the scheme of the tokens',
  },
  recovery: {
    ...oneOf('open', 'sealed'),
    default: 'open',
    meaning:
      'sealed: values are sealed to a recovery key that the functions do not have, and tokens are irreversible',
  },
  recoveryPublicKey: {
    allowed: 'a PEM file with an RSA public key of 3072 bits or more',
    parse: readPublicKey,
    without: 'a new key in KMS',
    meaning: 'the public half of a recovery key that is kept elsewhere',
  },
  ipNetwork: {
    ...oneOf('off', 'on'),
    default: 'off',
    meaning: 'on: a further column, `masked_ip_network`, with tokens of the /24 or /48 of each address',
  },
  retentionDays: {
    ...number(1, 3_650),
    without: 'everything is kept',
    meaning:
      'how many days before today the table keeps: it is partitioned by date, and older days are dropped',
  },
  batchSize: { ...number(1, 10_000), default: '10000', meaning: 'most messages an invocation takes' },
  batchingWindowSeconds: {
    ...number(0, 300),
    default: '5',
    meaning: 'how long a batch is collected; at least 1 where batchSize is above 10',
  },
  maxConcurrency: {
    ...number(2, 1_000),
    default: '10',
    meaning: 'most invocations at a time, each with one database connection',
  },
  memoryMb: {
    ...number(128, 10_240),
    default: '1769',
    meaning: 'memory of the ingest function; 1769 is one vCPU',
  },
} as const satisfies Record<string, Key<unknown>>;

export type Name = keyof typeof KEYS;
export type Value<N extends Name> = NonNullable<ReturnType<(typeof KEYS)[N]['parse']>>;

/** Every key that this app knows, for the documentation. */
export const CONTEXT_KEYS: readonly ContextKey[] = Object.entries<Key<unknown>>(KEYS).map(
  ([name, { allowed, default: given, without, meaning }]) => ({
    name,
    allowed,
    otherwise: given ?? without ?? '',
    meaning,
  }),
);

/** The value without one given; undefined where there is no default. */
export function defaultOf(name: Name): string | undefined {
  return (KEYS[name] as Key<unknown>).default;
}
