import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, it } from 'vitest';
import {
  MODE_NAMES,
  MODES,
  PUBLIC_KEY_FILE,
  resource,
  resources,
  type Statement,
  template,
} from './deployments.ts';
import { managedPermissions, permissions, place } from './permissions.ts';

const KEY = 'RecoveryKey';
const FOUND = { 'Fn::GetAtt': [expect.stringMatching(/^RecoveryKeyFound/), 'PublicKey'] };
const SEALING = ['IngestFunction', 'IngestProbeFunction', 'IngestSchemaFunction'];

const variables = (stack: Template, name: string) =>
  resource(stack, 'AWS::Lambda::Function', name).Properties.Environment.Variables;

describe.each(MODE_NAMES)('sealed, with database=%s', (mode) => {
  const stack = template({ ...MODES[mode], recovery: 'sealed' });

  it('makes a key that is kept, of which the functions and the migration have the public half', () => {
    expect(resource(stack, 'AWS::KMS::Key', KEY)).toMatchObject({
      DeletionPolicy: 'RetainExceptOnCreate',
      UpdateReplacePolicy: 'Retain',
      Properties: { KeySpec: 'RSA_3072', KeyUsage: 'ENCRYPT_DECRYPT' },
    });
    for (const name of SEALING) expect(variables(stack, name).RECOVERY_PUBLIC_KEY).toEqual(FOUND);
    for (const name of SEALING.slice(0, 2)) expect(variables(stack, name).MASKING).toBe('irreversible');
  });

  it('lets the ingest and its probe do nothing else than in an open deployment', () => {
    const open = template(MODES[mode]);

    for (const role of ['IngestRole', 'IngestProbeRole', 'IngestSchemaRole']) {
      expect(permissions(stack, role)).toEqual(permissions(open, role));
    }
  });

  it('lets no role of the stack decrypt with the recovery key, whatever it is given later', () => {
    const policies = Object.values(resources(stack, 'AWS::IAM::Policy')).flatMap(
      ({ Properties }) => Properties.PolicyDocument.Statement,
    );
    const about = policies.filter((statement) => /"RecoveryKey[0-9A-F]{8}"/.test(JSON.stringify(statement)));

    expect(about.map(({ Action }) => Action)).toEqual(['kms:GetPublicKey']);
    const [deny, ...others] = keyPolicy(stack).filter(({ Effect }) => Effect === 'Deny');
    expect(others).toEqual([]);
    expect(deny).toMatchObject({ NotAction: 'kms:GetPublicKey', Principal: { AWS: '*' }, Resource: '*' });
    const denied = deny!.Condition!.ArnEquals!['aws:PrincipalArn'] as unknown[];
    expect(denied.map((role) => (role as { 'Fn::GetAtt': [string, string] })['Fn::GetAtt'])).toEqual(
      Object.keys(resources(stack, 'AWS::IAM::Role')).map((role) => [role, 'Arn']),
    );
  });

  it('lets whoever recovers decrypt with it, and not whoever keeps the keys', () => {
    const open = template(MODES[mode]);

    expect(managedPermissions(stack, 'RecoveryPolicy')).toEqual(
      [...managedPermissions(open, 'RecoveryPolicy'), 'Allow kms:Decrypt RecoveryKey.Arn'].toSorted(),
    );
    expect(managedPermissions(stack, 'CustodianPolicy')).toEqual(managedPermissions(open, 'CustodianPolicy'));
  });

  it('lets the function that asks for the public half ask for nothing else', () => {
    const own = permissions(stack, 'RecoveryKeyPublicKeyRole').filter((line) => !/ (logs|xray):/.test(line));

    expect(own).toEqual(['Allow kms:GetPublicKey RecoveryKey.Arn']);
  });

  it('says which key it is', () => {
    expect(place(stack.findOutputs('RecoveryKeyArn').RecoveryKeyArn!.Value)).toBe('RecoveryKey.Arn');
  });
});

function keyPolicy(stack: Template): readonly Statement[] {
  return resource(stack, 'AWS::KMS::Key', KEY).Properties.KeyPolicy.Statement as readonly Statement[];
}

describe('sealed to a key that is kept elsewhere', () => {
  const stack = template({ ...MODES.url, recovery: 'sealed', recoveryPublicKey: PUBLIC_KEY_FILE });

  it('makes none, and gives the functions the public half of the file', () => {
    const der = createPublicKey(readFileSync(PUBLIC_KEY_FILE)).export({ format: 'der', type: 'spki' });

    for (const name of SEALING) {
      expect(variables(stack, name).RECOVERY_PUBLIC_KEY).toBe(der.toString('base64'));
    }
    expect(Object.keys(resources(stack, 'AWS::KMS::Key'))).toEqual([expect.stringMatching(/^Key/)]);
    expect(JSON.stringify(stack.toJSON())).not.toContain('GetPublicKey');
  });

  it('fits the 4 KB that the variables of a function may have', () => {
    for (const name of SEALING) expect(JSON.stringify(variables(stack, name)).length).toBeLessThan(2_000);
  });
});

describe('open', () => {
  it('has no recovery key, and the functions hear of none', () => {
    const stack = template(MODES.url);

    expect(Object.keys(resources(stack, 'AWS::KMS::Key'))).toHaveLength(1);
    for (const name of SEALING) expect(variables(stack, name)).not.toHaveProperty('RECOVERY_PUBLIC_KEY');
  });
});

describe('a column for networks', () => {
  it.each([
    ['on', 'on'],
    ['off', undefined],
  ])('%s: functions and migration hear of it', (ipNetwork, expected) => {
    const stack = template({ ...MODES.url, ipNetwork });

    for (const name of SEALING) expect(variables(stack, name).IP_NETWORK).toBe(expected);
  });
});
