import { describe, expect, it } from 'vitest';
import { runEntryPoint } from '../support/lambda-process.ts';

const ENV = {
  AWS_REGION: 'eu-central-1',
  AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
  AWS_SECRET_ACCESS_KEY: 'example',
  // Nobody listens there.
  AWS_ENDPOINT_URL: 'http://127.0.0.1:1',
  POWERTOOLS_SERVICE_NAME: 'Vizard',
  BREAKER_MAPPING_ID: 'mapping',
  BREAKER_PROBE_FUNCTION: 'probe',
  BREAKER_MEMORY_PARAMETER: 'memory',
  BREAKER_TOPIC_ARN: 'topic',
};

describe('the circuit breaker', () => {
  it('fails with one line and says nothing of this minute where AWS cannot be reached', async () => {
    const { lines, output } = await runEntryPoint('breaker', ENV, [{}]);

    expect(lines).toContainEqual(
      expect.objectContaining({
        errorType: 'AwsFailure',
        errorMessage: 'circuit breaker: the memory cannot be used (ECONNREFUSED)',
      }),
    );
    // The alarm on silence is for that.
    expect(output).not.toContain('Stopped');
  });
});
