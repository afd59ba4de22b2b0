import type { Template } from 'aws-cdk-lib/assertions';
import { expect } from 'vitest';
import { resource, resources, type Statement } from './deployments.ts';

/** Every statement of every policy of a role, one line an action: `Allow sqs:ReceiveMessage Queue.Arn`. */
export function permissions(stack: Template, role: string): string[] {
  const [roleId, { Properties }] = Object.entries(resources(stack, 'AWS::IAM::Role')).find(([id]) =>
    id.startsWith(role),
  )!;
  expect(Properties.ManagedPolicyArns, 'managed policies').toBeUndefined();
  expect(Properties.Policies, 'inline policies').toBeUndefined();
  const policies = Object.values(resources(stack, 'AWS::IAM::Policy')).filter(({ Properties: { Roles } }) =>
    Roles.some(({ Ref }) => Ref === roleId),
  );
  return lines(policies.flatMap(({ Properties: { PolicyDocument } }) => PolicyDocument.Statement));
}

/** Every statement of a managed policy, which nobody has from the start. */
export function managedPermissions(stack: Template, policy: string): string[] {
  const { Properties } = resource(stack, 'AWS::IAM::ManagedPolicy', policy);
  for (const attached of ['Roles', 'Users', 'Groups']) expect(Properties[attached]).toBeUndefined();
  return lines(Properties.PolicyDocument.Statement);
}

function lines(statements: readonly Statement[]): string[] {
  return statements
    .flatMap(({ Effect, Action, Resource, Condition }) =>
      [Action].flat().flatMap((action) =>
        [Resource].flat().map((where) => {
          return `${Effect} ${action} ${place(where)}${conditionOf(Condition)}`;
        }),
      ),
    )
    .toSorted();
}

/** Names of the policies of AWS's own that a role has, and nothing else. */
export function managedPolicies(stack: Template, role: string): string[] {
  const { ManagedPolicyArns, Policies } = resources(stack, 'AWS::IAM::Role')[role]!.Properties;
  expect(Policies).toBeUndefined();
  return (ManagedPolicyArns as unknown[]).map((arn) => place(arn).replace(/^.*\//, ''));
}

/** ` if lambda:SourceFunctionArn=IngestFunction.Arn` */
function conditionOf(condition: Statement['Condition']): string {
  const tests = Object.values(condition ?? {}).flatMap((operands) => Object.entries(operands));
  return tests.map(([key, value]) => ` if ${key}=${place(value)}`).join('');
}

/** A resource as a person would name it. */
export function place(resource: unknown): string {
  if (typeof resource === 'string') return resource;
  const {
    Ref,
    'Fn::GetAtt': attribute,
    'Fn::Join': join,
  } = resource as {
    Ref?: string;
    'Fn::GetAtt'?: [string, string];
    'Fn::Join'?: [string, unknown[]];
  };
  const name = (id: string) => id.replace(/[0-9A-F]{8}$/, '');
  if (Ref) return name(Ref);
  if (attribute) return `${name(attribute[0])}.${attribute[1]}`;
  return join![1].map(place).join('');
}
