import { readFileSync } from 'node:fs';
import { LoginFailure } from '../errors.ts';
import { onceMade } from './once-made.ts';

/**
 * Amazon's authorities as Lambda keeps them, those of RDS in every region among them.
 *
 * @see https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html#nodejs-certificate-loading
 */
const LAMBDA_FILE = '/var/runtime/ca-cert.pem';

/**
 * Those of Amazon Trust Services, from which RDS Proxy has its certificates. They are public, so Node has them.
 *
 * @see https://www.amazontrust.com/repository/
 */
const TRUST_SERVICES = ['Amazon Root CA ', 'Starfield Services Root Certificate Authority - G2'];

/**
 * The certificate authorities of RDS in a region, and of RDS Proxy everywhere, as PEM. Node does not load the former, and
 * Lambda's whole file makes every secure context 7-34 ms slower, where those of one region take 0.5 ms.
 *
 * @param file with Amazon's authorities, as PEM; all of it is trusted where it has none that are named after the region
 * @returns a source that throws LoginFailure where there are none to be had
 */
export function rdsCertificates(region: string, file = LAMBDA_FILE): () => Promise<readonly string[]> {
  return onceMade(async () => {
    const { rootCertificates } = process.getBuiltinModule('node:tls');
    const amazon = readCertificates(file, region);
    // Beta and Preview stand before the region: `CN=Amazon RDS eu-central-1 Root CA RSA2048 G1`.
    const regional = amazon.filter(namesOneOf([`Amazon RDS ${region} `]));
    const proxy = rootCertificates.filter(namesOneOf(TRUST_SERVICES));
    return [...(regional.length > 0 ? regional : amazon), ...proxy];
  });
}

/** Names are plain text in DER; to parse every certificate for them would take longer than the TLS handshake. */
function namesOneOf(names: readonly string[]): (pem: string) => boolean {
  return (pem) => {
    const der = Buffer.from(pem.replace(/-----.*-----/g, ''), 'base64');
    return names.some((name) => der.includes(name));
  };
}

function readCertificates(file: string, region: string): readonly string[] {
  const certificates = readText(file).match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  if (certificates !== null) return certificates;
  throw new LoginFailure(
    `certificate authorities: expected those of RDS in ${region}, got none in ${file}; run it on Lambda with Node.js 20 or newer`,
    'no_certificates',
  );
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
