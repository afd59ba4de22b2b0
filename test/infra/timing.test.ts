import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MODES, resource, template } from './deployments.ts';

const context = fc
  .record({
    batchSize: fc.integer({ min: 1, max: 10_000 }),
    batchingWindowSeconds: fc.integer({ min: 0, max: 300 }),
    maxConcurrency: fc.integer({ min: 2, max: 1000 }),
    memoryMb: fc.integer({ min: 128, max: 10_240 }),
  })
  .filter(({ batchSize, batchingWindowSeconds }) => batchSize <= 10 || batchingWindowSeconds > 0)
  .map((settings) =>
    Object.fromEntries(Object.entries(settings).map(([key, value]) => [key, String(value)])),
  );

describe('times and counts fit each other', () => {
  it('whatever the context says', { timeout: 120_000 }, () => {
    fc.assert(
      fc.property(context, (given) => {
        const stack = template({ ...MODES.url, ...given });
        const { Properties: queue } = resource(stack, 'AWS::SQS::Queue', 'Queue381943A6');
        const { Properties: deadLetters } = resource(stack, 'AWS::SQS::Queue', 'QueueDeadLetters');
        const { Properties: handler } = resource(stack, 'AWS::Lambda::Function', 'IngestFunction');
        const { Properties: mapping } = resource(stack, 'AWS::Lambda::EventSourceMapping', 'IngestMapping');
        const { Properties: age } = resource(stack, 'AWS::CloudWatch::Alarm', 'AlarmsOldestMessage');
        const { Properties: duration } = resource(stack, 'AWS::CloudWatch::Alarm', 'AlarmsDuration');

        // Six timeouts and the window, as AWS advises; SQS allows 12 hours.
        const window = mapping.MaximumBatchingWindowInSeconds;
        expect(queue.VisibilityTimeout).toBeGreaterThanOrEqual(6 * handler.Timeout + window);
        expect(queue.VisibilityTimeout).toBeLessThanOrEqual(43_200);
        // Resuming an Aurora cluster takes up to 30 s.
        expect(handler.Timeout).toBeGreaterThan(35);
        expect(handler.Timeout).toBeLessThanOrEqual(900);
        expect(queue.RedrivePolicy.maxReceiveCount).toBeGreaterThanOrEqual(5);
        expect(queue.RedrivePolicy.deadLetterTargetArn).toEqual({
          'Fn::GetAtt': [expect.stringMatching(/^QueueDeadLetters/), 'Arn'],
        });
        expect(deadLetters.MessageRetentionPeriod).toBe(14 * 86_400);
        expect(queue.MessageRetentionPeriod).toBeLessThan(deadLetters.MessageRetentionPeriod);
        // A message that is refused uses up its receives long before it expires.
        expect(queue.VisibilityTimeout * queue.RedrivePolicy.maxReceiveCount).toBeLessThan(
          queue.MessageRetentionPeriod,
        );
        expect(age.Threshold).toBeGreaterThan(3 * queue.VisibilityTimeout);
        expect(duration.Threshold).toBeLessThan(handler.Timeout * 1000);
        expect(mapping.BatchSize).toBe(Number(given.batchSize));
        if (mapping.BatchSize > 10) expect(window).toBeGreaterThanOrEqual(1);
        // A reserve below the mapping's maximum would throttle, and throttling uses up receives.
        expect(mapping.ScalingConfig.MaximumConcurrency).toBe(Number(given.maxConcurrency));
        expect(handler.ReservedConcurrentExecutions).toBeUndefined();
        expect(handler.MemorySize).toBe(Number(given.memoryMb));
      }),
      { numRuns: 20 },
    );
  });
});
