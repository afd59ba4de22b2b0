import { describe, expect, it } from 'vitest';
import { readBreakerConfig } from '../../lambda/config.ts';

const GOOD = {
  AWS_REGION: 'eu-central-1',
  POWERTOOLS_SERVICE_NAME: 'Vizard',
  BREAKER_MAPPING_ID: 'mapping',
  BREAKER_PROBE_FUNCTION: 'probe',
  BREAKER_MEMORY_PARAMETER: 'memory',
  BREAKER_TOPIC_ARN: 'topic',
};

describe('the configuration of the circuit breaker', () => {
  it('says what it watches, switches, asks, remembers in and tells', () => {
    expect(readBreakerConfig(GOOD)).toEqual({
      region: 'eu-central-1',
      service: 'Vizard',
      mappingId: 'mapping',
      probeFunction: 'probe',
      memoryParameter: 'memory',
      topicArn: 'topic',
    });
  });

  it.each(Object.keys(GOOD))('is refused without %s, by its name', (name) => {
    expect(() => readBreakerConfig({ ...GOOD, [name]: '' })).toThrow(
      `${name}: expected a value, got nothing`,
    );
  });
});
