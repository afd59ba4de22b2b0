import { App, Duration, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Queue } from 'aws-cdk-lib/aws-sqs';
import { describe, expect, it } from 'vitest';
import { AuroraDatabase } from '../../lib/databases/aurora-database.ts';
import { UrlDatabase } from '../../lib/databases/url-database.ts';
import { IngestQueue } from '../../lib/ingest-queue.ts';
import { Keyset } from '../../lib/keyset.ts';
import { MaskedIngest } from '../../lib/masked-ingest.ts';
import { visibilityTimeout } from '../../lib/timing.ts';

function someonesStack(): Stack {
  return new Stack(new App({ context: { 'aws:cdk:bundling-stacks': [] } }), 'Someones');
}

describe('a construct alone, in a stack of someone else', () => {
  it('ingests from their queue into their database with their keyset', () => {
    const stack = someonesStack();
    new MaskedIngest(stack, 'Ingest', {
      queue: new Queue(stack, 'Theirs', { visibilityTimeout: visibilityTimeout(Duration.seconds(5)) }),
      database: new UrlDatabase('postgres://localhost/theirs'),
      keyset: Secret.fromSecretNameV2(stack, 'Keyset', 'theirs'),
    });

    const template = Template.fromStack(stack);
    template.resourceCountIs('AWS::SQS::Queue', 1);
    template.resourceCountIs('AWS::KMS::Key', 0);
    template.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
      BatchSize: 10_000,
      FunctionResponseTypes: ['ReportBatchItemFailures'],
    });
  });

  it('needs no key of the customer', () => {
    const stack = someonesStack();
    new AuroraDatabase(stack, 'Database');
    new IngestQueue(stack, 'Queue', { batchingWindow: Duration.seconds(5) });
    new Keyset(stack, 'Keyset');

    const template = Template.fromStack(stack);
    template.resourceCountIs('AWS::KMS::Key', 0);
    template.hasResourceProperties('AWS::RDS::DBCluster', { StorageEncrypted: true });
    template.allResourcesProperties('AWS::SQS::Queue', { SqsManagedSseEnabled: true });
    expect(Object.keys(template.findResources('AWS::SecretsManager::Secret'))).toHaveLength(1);
  });
});
