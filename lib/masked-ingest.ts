import { Duration } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { EventSourceMapping, MetricType } from 'aws-cdk-lib/aws-lambda';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { ENV } from '../lambda/names.ts';
import type { IngestDatabase } from './databases/ingest-database.ts';
import { SchemaMigration } from './schema-migration.ts';
import { ServiceFunction, type ServiceFunctionProps } from './service-function.ts';
import { INGEST_TIMEOUT, PROBE_TIMEOUT } from './timing.ts';

export interface MaskedIngestProps {
  /** Its visibility timeout has to be at least `visibilityTimeout(batchingWindow)` of timing.ts. */
  readonly queue: IQueue;
  readonly database: IngestDatabase;
  /** `{"primary":"k1","k1":"<at least 43 characters>"}` */
  readonly keyset: ISecret;
  /** Scheme of the tokens: recoverable or irreversible. @default recoverable */
  readonly masking?: string;
  /**
   * Base64 of the DER SubjectPublicKeyInfo of an RSA key, to which values are sealed; takes irreversible tokens.
   *
   * @default - whoever has the keyset opens recoverable tokens
   */
  readonly recoveryPublicKey?: string | undefined;
  /** Whether a further column has the network of each address. @default false */
  readonly ipNetwork?: boolean;
  /** Days before today that the table keeps, 1-3,650; partitions are made and dropped by `Retention`. @default - everything */
  readonly retentionDays?: number;
  /** Messages an invocation takes at most, 1-10,000. @default 10000 */
  readonly batchSize?: number;
  /** How long a batch is collected, 1-300 s with a batch size above 10. @default 5 seconds */
  readonly batchingWindow?: Duration;
  /** Invocations, and so database connections, at a time, 2-1,000. @default 10 */
  readonly maxConcurrency?: number;
  /** MB; 1,769 is one vCPU. @default 1769 */
  readonly memorySize?: number;
  /** For logs. @default - the key of CloudWatch Logs */
  readonly encryptionKey?: IKey;
}

/** Takes events off a queue, masks them and lands them in a database: the function, its trigger, its probe and the schema. */
export class MaskedIngest extends Construct {
  readonly handler: ServiceFunction;
  /** Tries a write of its own, with all that the handler needs for one, and takes it back. */
  readonly probe: ServiceFunction;
  readonly mapping: EventSourceMapping;
  readonly schema: SchemaMigration;

  constructor(scope: Construct, id: string, props: MaskedIngestProps) {
    super(scope, id);
    const { queue, database, retentionDays, encryptionKey } = props;
    const environment = declared(props);
    this.schema = new SchemaMigration(this, 'Schema', {
      database,
      retentionDays,
      environment,
      encryptionKey,
    });
    this.handler = this.writer('Default', props, {
      description: 'Vizard: masks login events and stores them',
      entry: 'handler.ts',
      timeout: INGEST_TIMEOUT,
      memorySize: props.memorySize ?? 1769,
    });
    this.probe = this.writer('Probe', props, {
      description: 'Vizard: tries a write and takes it back',
      entry: 'probe.ts',
      timeout: PROBE_TIMEOUT,
    });
    this.grantConsume(queue);
    this.mapping = new EventSourceMapping(this, 'Mapping', {
      target: this.handler.function,
      eventSourceArn: queue.queueArn,
      batchSize: props.batchSize ?? 10_000,
      maxBatchingWindow: props.batchingWindow ?? Duration.seconds(5),
      maxConcurrency: props.maxConcurrency ?? 10,
      reportBatchItemFailures: true,
      metricsConfig: { metrics: [MetricType.EVENT_COUNT] },
    });
    // Nothing is received before there is a table to put it, and no code runs before the schema that it is for.
    for (const { function: writer } of [this.handler, this.probe]) writer.node.addDependency(this.schema);
  }

  /** A function with all that it takes to mask an event and to store it. */
  private writer(
    id: string,
    ingest: MaskedIngestProps,
    props: Pick<ServiceFunctionProps, 'description' | 'entry' | 'timeout' | 'memorySize'>,
  ): ServiceFunction {
    const { database, keyset, masking = 'recoverable', encryptionKey } = ingest;
    const writer = new ServiceFunction(this, id, {
      ...props,
      environment: {
        [ENV.masking]: masking,
        [ENV.maskingKeysetSecretArn]: keyset.secretArn,
        ...declared(ingest),
      },
      placement: database.placement,
      encryptionKey,
    });
    writer.grantReadSecret(keyset);
    database.grantWrite(writer, this.schema);
    return writer;
  }

  /** What Lambda's poller does in the name of the function's role. */
  private grantConsume(queue: IQueue): void {
    this.handler.role.addToPolicy(
      new PolicyStatement({
        actions: ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'],
        resources: [queue.queueArn],
      }),
    );
    queue.encryptionMasterKey?.grantDecrypt(this.handler.role);
  }
}

/** What tables there are, and their columns: the migration makes them, the functions write them. */
function declared({ recoveryPublicKey, ipNetwork = false }: MaskedIngestProps): Record<string, string> {
  return {
    ...(recoveryPublicKey && { [ENV.recoveryPublicKey]: recoveryPublicKey }),
    ...(ipNetwork && { [ENV.ipNetwork]: 'on' }),
  };
}
