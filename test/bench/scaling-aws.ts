/** What AWS documents, charges, and does not say: the constants of the model. Pages were read in 2026. */

/** List prices of us-east-1 in US dollars, without free tiers; those of the README. */
export const PRICE = {
  /** https://aws.amazon.com/sqs/pricing: a call of up to 64 kB */
  sqsCall: 0.4 / 1e6,
  /** https://aws.amazon.com/lambda/pricing: arm64 */
  lambdaGbSecond: 0.0000133,
  lambdaRequest: 0.2 / 1e6,
  /** https://aws.amazon.com/rds/aurora/pricing: Aurora Standard */
  acuHour: 0.12,
  io: 0.2 / 1e6,
  gbMonth: 0.1,
  /** The same as Aurora I/O-Optimized has it, where I/O is free. */
  ioOptimized: { acuHour: 0.156, gbMonth: 0.225 },
} as const;

/** Documented limits. */
export const LIMIT = {
  /** https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: 6 MB an invocation */
  payloadBytes: 6 * 2 ** 20,
  /** https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html: batches at a time to begin with */
  firstPollers: 5,
  maxConcurrency: 1_000,
  provisionedPollers: 2_000,
  /** https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html */
  inFlight: 120_000,
  /** https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html: one vCPU */
  memoryOfVcpu: 1_769,
  /** https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html */
  minAcu: 0.5,
  maxAcu: 256,
  bytesOfAcu: 2 * 2 ** 30,
  /** https://www.postgresql.org/docs/current/limits.html: 2^32 pages of 8 kB */
  tableBytes: 2 ** 45,
  /** https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/CHAP_Limits.html; newer versions have 256 TiB */
  clusterBytes: 2 ** 47,
  /** https://www.postgresql.org/docs/current/runtime-config-vacuum.html: autovacuum_freeze_max_age */
  freezeAge: 200e6,
} as const;

export const PAGE_BYTES = 8_192;
/**
 * In which Aurora counts what it writes.
 *
 * @see https://aws.amazon.com/blogs/database/planning-i-o-in-amazon-aurora/
 */
export const IO_BYTES = 4_096;

/** What nobody documents, or only of something like it. The document lists them, with their reasons. */
export const ASSUMED = {
  /** Messages a second that one poller receives; AWS says so of provisioned ones: ten calls of ten messages. */
  messagesOfPoller: 100,
  callsOfPoller: 10,
  /** Bytes of a login event in an invocation: 190 of the body as a JSON string, 850 of what SQS adds. */
  recordBytes: 1_040,
  /** Milliseconds that an invocation waits more for Aurora in another machine than for Postgres in the same one. */
  awayMilliseconds: 10,
  /** Capacity units as busy as one vCPU: what r instances have, 8 GiB a vCPU at 2 GiB a unit. */
  acuOfVcpu: 4,
  /** How busy something may be on average. */
  busy: 0.7,
  /** Share of Aurora's memory that caches pages: shared_buffers by default, DBInstanceClassMemory/12038 pages of 8 kB. */
  cacheShare: 8_192 / 12_038,
} as const;

export const SECONDS_OF_DAY = 86_400;
export const HOURS_OF_MONTH = 730;
export const SECONDS_OF_MONTH = HOURS_OF_MONTH * 3_600;
