import { Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks, NIST80053R5Checks } from 'cdk-nag';
import { describe, expect, it } from 'vitest';
import { DEPLOYMENTS, deployment } from './deployments.ts';

describe('cdk-nag has no finding that nobody gave a reason for', () => {
  it.each(Object.entries(DEPLOYMENTS))('%s', (_name, context) => {
    const { app } = deployment(context);
    Validations.of(app).addPlugins(new AwsSolutionsChecks(app), new NIST80053R5Checks(app));

    expect(() => app.synth()).not.toThrow();
  });
});
