import { Logger } from '@aws-lambda-powertools/logger';
import { fetchPublicKey } from './aws/kms.ts';
import { readRegion } from './config.ts';
import { onEvent } from './custom-resource.ts';

/** Fetches the public half of a recovery key: property KeyId in, attribute PublicKey out. For CDK's provider framework. */
export const handler = onEvent('public-key', new Logger(), async ({ KeyId: keyId }) => ({
  PublicKey: await fetchPublicKey(keyId, readRegion(process.env)),
}));
