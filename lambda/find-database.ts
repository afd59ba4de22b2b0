import { Logger } from '@aws-lambda-powertools/logger';
import { findResourceId } from './aws/rds.ts';
import { readRegion } from './config.ts';
import { onEvent } from './custom-resource.ts';

/** Finds the id by which IAM knows a database: property Host in, attribute ResourceId out. For CDK's provider framework. */
export const handler = onEvent('database', new Logger(), async ({ Host: host }) => ({
  ResourceId: await findResourceId(host, readRegion(process.env)),
}));
