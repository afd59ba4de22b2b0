import { readFileSync } from 'node:fs';
import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { parseContext } from '../../lib/context.ts';
import { VizardStack } from '../../lib/vizard-stack.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
const CDK_JSON = JSON.parse(readFileSync(`${ROOT}cdk.json`, 'utf8')) as { context: Record<string, unknown> };

/** What a deployment of each database mode is told; one of them keeps its events for a time only. */
export const MODES = {
  aurora: {},
  existing: {
    database: 'existing',
    databaseSecretArn: 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:logins-AbCdEf',
    vpcId: 'vpc-0123456789abcdef0',
    databaseSecurityGroupId: 'sg-0123456789abcdef0',
    retentionDays: '400',
  },
  url: { database: 'url', databaseUrl: 'postgres://postgres:postgres@localhost:5432/postgres' },
} as const satisfies Record<string, Record<string, string>>;

/** Every deployment of which the template is looked at as a whole. */
export const DEPLOYMENTS: Readonly<Record<string, Record<string, string>>> = {
  ...MODES,
  sealed: { ...MODES.url, recovery: 'sealed', ipNetwork: 'on' },
};

/** The public half of a recovery key, as somebody keeps it who keeps the private one elsewhere. */
export const PUBLIC_KEY_FILE = new URL('public-key.pem', import.meta.url).pathname;

const ACCOUNT = '111122223333';
const REGION = 'eu-west-1';

/** What the CLI would have found and written to cdk.context.json: a VPC with two private subnets. */
const LOOKED_UP = {
  [`vpc-provider:account=${ACCOUNT}:filter.vpc-id=${MODES.existing.vpcId}:region=${REGION}:returnAsymmetricSubnets=true`]:
    {
      vpcId: MODES.existing.vpcId,
      vpcCidrBlock: '10.0.0.0/16',
      ownerAccountId: ACCOUNT,
      availabilityZones: [],
      subnetGroups: [
        {
          name: 'Private',
          type: 'Private',
          subnets: ['a', 'b'].map((zone, i) => ({
            subnetId: `subnet-0000000000000000${zone}`,
            cidr: `10.0.${i}.0/24`,
            availabilityZone: `${REGION}${zone}`,
            routeTableId: `rtb-0000000000000000${zone}`,
          })),
        },
      ],
    },
};

export type Mode = keyof typeof MODES;
export const MODE_NAMES = Object.keys(MODES) as Mode[];

export interface Deployment {
  readonly app: App;
  readonly stack: VizardStack;
}

/** The app of bin/app.ts with this context, unbundled because only the template counts. */
export function deployment(context: Record<string, string> = {}): Deployment {
  return appWith(context, new App({ context: { ...appContext(), 'aws:cdk:bundling-stacks': [] } }));
}

/** The same, with the functions really bundled. @param outdir takes the assembly */
export function bundledDeployment(context: Record<string, string>, outdir: string): Deployment {
  return appWith(context, new App({ outdir, context: appContext() }));
}

function appContext(): Record<string, unknown> {
  return { ...CDK_JSON.context, ...LOOKED_UP };
}

function appWith(context: Record<string, string>, app: App): Deployment {
  const settings = parseContext(context);
  const env = { account: ACCOUNT, region: REGION };
  const stack = new VizardStack(app, 'Vizard', {
    settings,
    env: settings.database.kind === 'existing' ? env : undefined,
  });
  return { app, stack };
}

/** A statement of a policy. */
export interface Statement {
  readonly Effect: string;
  readonly Action: string | string[];
  readonly Resource: unknown;
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** Those that tests look into, of whatever type of resource; the others are compared whole. */
interface Properties {
  readonly [name: string]: unknown;
  readonly AlarmDescription: string;
  readonly Code: { readonly S3Key: string };
  readonly Environment: { readonly Variables: Readonly<Record<string, unknown>> };
  readonly KeyPolicy: { readonly Statement: readonly unknown[] };
  readonly MaximumBatchingWindowInSeconds: number;
  readonly MessageRetentionPeriod: number;
  readonly PolicyDocument: { readonly Statement: readonly Statement[] };
  readonly RedrivePolicy: { readonly maxReceiveCount: number; readonly deadLetterTargetArn: unknown };
  readonly Roles: readonly { readonly Ref: string }[];
  readonly ScalingConfig: { readonly MaximumConcurrency: number };
  readonly BatchSize: number;
  readonly Threshold: number;
  readonly Timeout: number;
  readonly VisibilityTimeout: number;
}

/** A resource as the template has it. */
export interface Resource {
  readonly Type: string;
  readonly Properties: Properties;
  readonly DependsOn?: string[];
  readonly DeletionPolicy?: string;
  readonly UpdateReplacePolicy?: string;
}

export function template(context: Record<string, string> = {}): Template {
  return templateOf(deployment(context).stack);
}

export function templateOf(stack: VizardStack): Template {
  return Template.fromStack(stack);
}

/** Resources of a type by logical id. */
export function resources(from: Template, type: string): Record<string, Resource> {
  return from.findResources(type) as Record<string, Resource>;
}

/** The only resource of a type whose logical id begins so. */
export function resource(from: Template, type: string, id: string): Resource {
  const found = Object.entries(resources(from, type)).filter(([name]) => name.startsWith(id));
  if (found.length !== 1) throw new Error(`${found.length} resources of ${type} begin with ${id}`);
  return found[0]![1];
}
