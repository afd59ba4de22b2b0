import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { METRICS } from '../../lambda/names.ts';
import { runbookAnchor } from '../../lib/ingest-alarms.ts';
import { MODE_NAMES, MODES, type Resource, resource, resources, template } from './deployments.ts';

const RUNBOOK = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
const ALARMS = [
  'DatabaseUnreachable',
  'DeadLetters',
  'Duration',
  'Errors',
  'FailedInvocations',
  'KeysetUnreachable',
  'OldestMessage',
  // Only where old events are dropped.
  'Partitions',
  'Stopped',
  'Throttles',
];

describe.each(MODE_NAMES)('with database=%s', (mode) => {
  const stack = template(MODES[mode]);
  const keeps = mode === 'existing';
  const expected = ALARMS.filter((name) => keeps || name !== 'Partitions');
  const alarms: Record<string, Resource> = Object.fromEntries(
    Object.entries(resources(stack, 'AWS::CloudWatch::Alarm')).map(([id, alarm]) => [
      id.replace(/^Alarms|[0-9A-F]{8}$/g, ''),
      alarm,
    ]),
  );

  it('there is an alarm for everything that wakes somebody', () => {
    expect(Object.keys(alarms).toSorted()).toEqual(expected);
  });

  it.each(expected)(
    '%s goes to the topic, and says what it means, what to do first and where to read on',
    (name) => {
      const { Properties } = alarms[name]!;
      const topic = [{ Ref: expect.stringMatching(/^AlarmsTopic/) }];

      expect(Properties.AlarmActions).toEqual(topic);
      expect(Properties.OKActions).toEqual(topic);
      // Silence is a reason where somebody reports every minute, or every hour.
      const silence = ['Partitions', 'Stopped'].includes(name);
      expect(Properties.TreatMissingData).toBe(silence ? 'breaching' : 'notBreaching');
      expect(Properties.AlarmDescription).toMatch(
        /^[A-Z].+\. First: .+\. Runbook: docs\/operations\.md#[a-z]+$/,
      );
      expect(Properties.AlarmDescription.length).toBeLessThanOrEqual(1024);
      const headings = [...RUNBOOK.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading);
      expect(headings).toContain(name);
      expect(Properties.AlarmDescription).toContain(`#${runbookAnchor(name)}`);
    },
  );

  it('the runbook names no output that there is not', () => {
    const named = new Set([...RUNBOOK.matchAll(/\$([A-Z]\w*)/g)].map(([, name]) => name));
    const outputs = [...Object.keys(stack.findOutputs('*')), 'RetentionFunctionName'];

    expect([...named].filter((name) => !outputs.includes(name!))).toEqual([]);
  });

  it('alarms may publish to the topic', () => {
    const { Properties } = resource(stack, 'AWS::SNS::TopicPolicy', 'AlarmsTopicPolicy');

    expect(Properties.PolicyDocument.Statement).toContainEqual(
      expect.objectContaining({
        Effect: 'Allow',
        Action: 'sns:Publish',
        Principal: { Service: 'cloudwatch.amazonaws.com' },
        Condition: { StringEquals: { 'aws:SourceAccount': expect.anything() } },
      }),
    );
  });

  it('the alarms of the function look at what it publishes', () => {
    for (const name of ['DatabaseUnreachable', 'KeysetUnreachable']) {
      expect(alarms[name]!.Properties).toMatchObject({
        Namespace: METRICS.namespace,
        MetricName: name,
        Dimensions: [{ Name: METRICS.service, Value: 'Vizard' }],
      });
    }
  });

  it('nobody can stop receiving without being noticed: not the breaker, not a person, not by ending the breaker', () => {
    expect(alarms.Stopped!.Properties).toMatchObject({
      Namespace: METRICS.namespace,
      MetricName: METRICS.stopped,
      Dimensions: [{ Name: METRICS.service, Value: 'Vizard' }],
      Statistic: 'Maximum',
      Threshold: 0,
      Period: 60,
      EvaluationPeriods: 5,
      DatapointsToAlarm: 5,
    });
  });

  it('a minute of the circuit breaker that fails is not tried again beside the next one', () => {
    const { Properties } = resource(stack, 'AWS::Lambda::EventInvokeConfig', 'Breaker');

    expect(Properties).toMatchObject({ MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: 60 });
  });

  it('the dashboard reads from top to bottom', () => {
    const text = JSON.stringify(resource(stack, 'AWS::CloudWatch::Dashboard', 'Dashboard').Properties);

    expect([...text.matchAll(/## ([^\\"]+)/g)].map(([, heading]) => heading)).toEqual([
      'Is it flowing?',
      'How far behind?',
      'What is refused?',
      'What does the database do?',
      ...(keeps ? ['What does it keep?'] : []),
    ]);
    const {
      namespace: _,
      service: __,
      code: ___,
      partitionsAhead,
      partitionsDropped,
      expiredRows,
      ...published
    } = METRICS;
    for (const name of Object.values(published)) expect(text).toContain(name);
    for (const name of [partitionsAhead, partitionsDropped, expiredRows])
      expect(text.includes(name)).toBe(keeps);
    expect(text.includes('ServerlessDatabaseCapacity')).toBe(mode === 'aurora');
  });
});

describe('with retentionDays', () => {
  const stack = template({ retentionDays: '30' });

  it('nobody runs out of partitions unnoticed: not for want of them, not because nobody makes any', () => {
    expect(resource(stack, 'AWS::CloudWatch::Alarm', 'AlarmsPartitions').Properties).toMatchObject({
      Namespace: METRICS.namespace,
      MetricName: METRICS.partitionsAhead,
      Dimensions: [{ Name: METRICS.service, Value: 'Vizard' }],
      Statistic: 'Maximum',
      ComparisonOperator: 'LessThanThreshold',
      Threshold: 3,
      Period: 3600,
      EvaluationPeriods: 3,
      DatapointsToAlarm: 3,
      TreatMissingData: 'breaching',
    });
  });

  it('the partitions are looked at every hour, once, after the schema is up, and as it was told', () => {
    const rule = resource(stack, 'AWS::Events::Rule', 'RetentionEveryHour').Properties;
    const { Properties, DependsOn } = resource(stack, 'AWS::Lambda::Function', 'RetentionFunction');
    const migration = resource(stack, 'AWS::Lambda::Function', 'IngestSchemaFunction').Properties;

    expect(rule).toMatchObject({ ScheduleExpression: 'rate(1 hour)', State: 'ENABLED' });
    expect(resource(stack, 'AWS::Lambda::EventInvokeConfig', 'Retention').Properties).toMatchObject({
      MaximumRetryAttempts: 0,
      MaximumEventAgeInSeconds: 3600,
    });
    expect(DependsOn).toContainEqual(expect.stringMatching(/^IngestSchemaRun/));
    for (const { Variables } of [Properties.Environment, migration.Environment]) {
      expect(Variables).toMatchObject({ RETENTION_DAYS: '30', DATABASE_SECRET_ARN: expect.anything() });
    }
    expect(Properties.Timeout).toBe(900);
  });

  it('without it nothing is dropped: there is no such function, and the migration makes a plain table', () => {
    const plain = template();

    expect(JSON.stringify(plain.toJSON())).not.toMatch(/RETENTION_DAYS|Retention[A-Z]\w*Function|EveryHour/);
  });
});

describe('an engineer', () => {
  it('is subscribed with alarmEmail', () => {
    template({ ...MODES.url, alarmEmail: 'oncall@example.com' }).hasResourceProperties(
      'AWS::SNS::Subscription',
      {
        Protocol: 'email',
        Endpoint: 'oncall@example.com',
      },
    );
  });

  it('is nobody without', () => {
    template(MODES.url).resourceCountIs('AWS::SNS::Subscription', 0);
  });
});
