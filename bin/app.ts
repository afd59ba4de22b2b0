import { App } from 'aws-cdk-lib';
import { ContextError, parseContext } from '../lib/context.ts';
import { VizardStack } from '../lib/vizard-stack.ts';

/** The CDK's entry point, named in cdk.json. */
const app = new App();
try {
  const settings = parseContext(app.node.getAllContext());
  // A lookup of the VPC needs to know where; anything else deploys to wherever the CLI points.
  const env = { account: process.env.CDK_DEFAULT_ACCOUNT, region: process.env.CDK_DEFAULT_REGION };
  new VizardStack(app, 'Vizard', { settings, env: settings.database.kind === 'existing' ? env : undefined });
} catch (error) {
  if (!(error instanceof ContextError)) throw error;
  process.stderr.write(`vizard: ${error.message}\n`);
  process.exit(2);
}
