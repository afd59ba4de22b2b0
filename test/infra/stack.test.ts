import { describe, expect, it } from 'vitest';
import { MODE_NAMES, MODES, resource, resources, template } from './deployments.ts';

/** Kept when the stack goes, but not when it never came to be. */
const KEPT = 'RetainExceptOnCreate';
const KEY = { 'Fn::GetAtt': [expect.stringMatching(/^Key/), 'Arn'] };

describe.each(MODE_NAMES)('with database=%s', (mode) => {
  const stack = template(MODES[mode]);

  it('runs the function on Node 24, arm64, with source maps, JSON logs and traces', () => {
    const { Properties } = resource(stack, 'AWS::Lambda::Function', 'IngestFunction');

    expect(Properties).toMatchObject({
      Runtime: 'nodejs24.x',
      Architectures: ['arm64'],
      MemorySize: 1769,
      TracingConfig: { Mode: 'Active' },
      LoggingConfig: { LogFormat: 'JSON', LogGroup: { Ref: expect.stringMatching(/^IngestLogs/) } },
    });
    expect(Properties.Environment.Variables).toMatchObject({
      POWERTOOLS_SERVICE_NAME: 'Vizard',
      MASKING: 'recoverable',
      MASKING_KEYSET_SECRET_ARN: { Ref: expect.stringMatching(/^KeysetSecret/) },
    });
    expect(Properties).not.toHaveProperty('ReservedConcurrentExecutions');
  });

  it('hands whole batches over, takes partial failures back and counts events', () => {
    stack.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
      BatchSize: 10_000,
      MaximumBatchingWindowInSeconds: 5,
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      ScalingConfig: { MaximumConcurrency: 10 },
      MetricsConfig: { Metrics: ['EventCount'] },
    });
  });

  it('receives nothing before the schema is up, and brings it up again when the migration changes', () => {
    // The mapping comes after the function.
    const { DependsOn } = resource(stack, 'AWS::Lambda::Function', 'IngestFunction');
    const { Properties } = resource(stack, 'Custom::VizardSchema', 'IngestSchemaRun');

    expect(DependsOn).toContainEqual(expect.stringMatching(/^IngestSchemaRun/));
    expect(Properties.Version).toEqual({
      'Fn::GetAtt': [expect.stringMatching(/^IngestSchemaFunctionCurrentVersion/), 'Version'],
    });
  });

  it('encrypts queues, keyset, logs and alarms with the customer key, which is kept and rotates', () => {
    const key = resource(stack, 'AWS::KMS::Key', 'Key');

    expect(key).toMatchObject({ DeletionPolicy: KEPT, Properties: { EnableKeyRotation: true } });
    for (const [type, property] of [
      ['AWS::SQS::Queue', 'KmsMasterKeyId'],
      ['AWS::SecretsManager::Secret', 'KmsKeyId'],
      ['AWS::Logs::LogGroup', 'KmsKeyId'],
      ['AWS::SNS::Topic', 'KmsMasterKeyId'],
    ] as const) {
      const found = Object.entries(resources(stack, type));
      expect(found.length).toBeGreaterThan(0);
      for (const [id, { Properties }] of found) expect([id, Properties[property]]).toEqual([id, KEY]);
    }
  });

  it('lets SQS, SNS, CloudWatch and its logs use the key, for this account only', () => {
    const { Statement } = resource(stack, 'AWS::KMS::Key', 'Key').Properties.KeyPolicy;

    expect(Statement).toContainEqual(
      expect.objectContaining({
        Action: ['kms:Decrypt', 'kms:GenerateDataKey*'],
        Condition: { StringEquals: { 'aws:SourceAccount': expect.anything() } },
        Principal: {
          Service: expect.arrayContaining([
            'sqs.amazonaws.com',
            'sns.amazonaws.com',
            'cloudwatch.amazonaws.com',
          ]),
        },
      }),
    );
    expect(JSON.stringify(Statement)).toContain('kms:EncryptionContext:aws:logs:arn');
  });

  it('takes messages and alarms over TLS only', () => {
    const policies = [
      ...Object.values(resources(stack, 'AWS::SQS::QueuePolicy')),
      ...Object.values(resources(stack, 'AWS::SNS::TopicPolicy')),
    ];

    expect(policies).toHaveLength(3);
    for (const { Properties } of policies) {
      expect(Properties.PolicyDocument.Statement).toContainEqual(
        expect.objectContaining({
          Effect: 'Deny',
          Condition: { Bool: { 'aws:SecureTransport': 'false' } },
        }),
      );
    }
  });

  it('generates the keyset once: a change here would replace the keys of deployed stacks', () => {
    const keyset = resource(stack, 'AWS::SecretsManager::Secret', 'KeysetSecret');

    expect(keyset).toMatchObject({ DeletionPolicy: KEPT, UpdateReplacePolicy: 'Retain' });
    expect(keyset.Properties.GenerateSecretString).toEqual({
      ExcludePunctuation: true,
      GenerateStringKey: 'k1',
      PasswordLength: 64,
      SecretStringTemplate: '{"primary":"k1"}',
    });
  });

  it('gives the migration up before the framework that waits for it', () => {
    const migration = resource(stack, 'AWS::Lambda::Function', 'IngestSchemaFunction');
    const framework = resource(stack, 'AWS::Lambda::Function', 'IngestSchemaProviderframework');
    const run = resource(stack, 'Custom::VizardSchema', 'IngestSchemaRun');

    expect(migration.Properties.Timeout).toBeLessThan(framework.Properties.Timeout);
    expect(framework.Properties.Timeout).toBeLessThan(Number(run.Properties.ServiceTimeout));
  });

  it('keeps the names of what holds data: a new logical id is a new, empty resource', () => {
    const ids = [
      'AWS::SQS::Queue',
      'AWS::SecretsManager::Secret',
      'AWS::KMS::Key',
      'AWS::RDS::DBCluster',
    ].flatMap((type) => Object.keys(resources(stack, type)));

    expect(ids.toSorted()).toEqual([
      ...(mode === 'aurora' ? ['DatabaseCluster5B53A178'] : []),
      'Key961B73FD',
      'KeysetSecret775D9491',
      'Queue381943A6',
      'QueueDeadLetters9B423CAD',
    ]);
  });

  it('keeps queues, keyset and key when it is destroyed', () => {
    const kept = Object.entries(stack.toJSON().Resources as Record<string, { DeletionPolicy?: string }>)
      .filter(([, { DeletionPolicy }]) => DeletionPolicy === KEPT)
      .map(([id]) => id);

    expect(kept.toSorted()).toEqual([
      'Key961B73FD',
      'KeysetSecret775D9491',
      'Queue381943A6',
      'QueueDeadLetters9B423CAD',
    ]);
  });

  it('keeps logs for three months, or a month for the network', () => {
    const groups = Object.values(resources(stack, 'AWS::Logs::LogGroup'));

    expect(new Set(groups.map(({ Properties }) => Properties.RetentionInDays))).toEqual(
      new Set(mode === 'aurora' ? [90, 30] : [90]),
    );
  });

  it('says where to send and what to keep', () => {
    expect(Object.keys(stack.findOutputs('*')).toSorted()).toEqual([
      'BreakerFunctionName',
      'BreakerMemory',
      'CustodianPolicyArn',
      ...(mode === 'aurora' ? ['DatabaseCluster'] : []),
      'DeadLetterQueueArn',
      'DeadLetterQueueUrl',
      'FunctionName',
      'KeyArn',
      'KeysetSecretArn',
      'MappingId',
      'MigrationFunctionName',
      'ProbeFunctionName',
      'QueueArn',
      'QueueUrl',
      'RecoveryPolicyArn',
      ...(mode === 'existing' ? ['RetentionFunctionName'] : []),
      'TopicArn',
    ]);
  });
});

describe('with what is there', () => {
  it('takes the key that the secret of a database is encrypted with', () => {
    const databaseSecretKeyArn = 'arn:aws:kms:eu-west-1:111122223333:key/0123';
    const stack = template({ ...MODES.existing, databaseSecretKeyArn });

    const policy = JSON.stringify(resource(stack, 'AWS::IAM::Policy', 'IngestSchemaRoleDefault').Properties);
    expect(policy).toContain(databaseSecretKeyArn);
  });

  it('takes a queue, and watches its dead-letter queue where it is named', () => {
    const queueArn = 'arn:aws:sqs:eu-west-1:111122223333:logins';
    const stack = template({ queueArn, deadLetterQueueArn: `${queueArn}-dlq` });

    stack.resourceCountIs('AWS::SQS::Queue', 0);
    stack.hasResourceProperties('AWS::Lambda::EventSourceMapping', { EventSourceArn: queueArn });
    stack.hasResourceProperties('AWS::CloudWatch::Alarm', {
      Dimensions: [{ Name: 'QueueName', Value: 'logins-dlq' }],
    });
  });

  it('takes a keyset and the key that it is encrypted with', () => {
    const keysetSecretArn = 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:keyset-AbCdEf';
    const keysetKeyArn = 'arn:aws:kms:eu-west-1:111122223333:key/0123';
    const stack = template({ ...MODES.url, keysetSecretArn, keysetKeyArn });

    stack.resourceCountIs('AWS::SecretsManager::Secret', 0);
    const policy = JSON.stringify(resource(stack, 'AWS::IAM::Policy', 'IngestRole').Properties);
    expect(policy).toContain(keysetSecretArn);
    expect(policy).toContain(keysetKeyArn);
  });
});
