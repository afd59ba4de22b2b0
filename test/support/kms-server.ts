import { constants, type KeyObject, privateDecrypt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach } from 'vitest';

const REGION = 'eu-central-1';
export const KMS_KEY_ARN = `arn:aws:kms:${REGION}:000000000000:key/recovery`;

/** AWS KMS on the loopback interface, as far as it decrypts with RSA keys; without keys before each test. */
export interface KmsServer {
  /** Where the SDK finds it, for a process of its own. */
  env(): Record<string, string>;
  /** Private keys by ARN, or the error that the service answers. */
  readonly keys: Map<string, KeyObject | { readonly error: string }>;
  /** In order: `Decrypt <arn> <algorithm>`. */
  readonly requests: string[];
}

interface DecryptRequest {
  readonly KeyId: string;
  readonly CiphertextBlob: string;
  readonly EncryptionAlgorithm: string;
}

export function useKmsServer(): KmsServer {
  const keys: KmsServer['keys'] = new Map();
  const requests: string[] = [];
  const server = createServer(async (request, response) => {
    const body = JSON.parse(await text(request)) as DecryptRequest;
    const operation = String(request.headers['x-amz-target']).replace('TrentService.', '');
    requests.push(`${operation} ${body.KeyId} ${body.EncryptionAlgorithm}`);
    const answer = decrypt(keys.get(body.KeyId) ?? { error: 'NotFoundException' }, body);
    response
      .writeHead('__type' in answer ? 400 : 200, { 'Content-Type': 'application/x-amz-json-1.1' })
      .end(JSON.stringify(answer));
  });
  beforeAll(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  beforeEach(() => {
    keys.clear();
    requests.length = 0;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    env: () => ({
      AWS_ENDPOINT_URL_KMS: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      AWS_REGION: REGION,
      AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
      AWS_SECRET_ACCESS_KEY: 'example',
    }),
    keys,
    requests,
  };
}

function decrypt(
  key: KeyObject | { readonly error: string },
  { KeyId, CiphertextBlob, EncryptionAlgorithm }: DecryptRequest,
): Record<string, unknown> {
  const error = (name: string) => ({ __type: name, message: 'CANARY-SERVICE says no' });
  if ('error' in key) return error(key.error);
  if (EncryptionAlgorithm !== 'RSAES_OAEP_SHA_256') return error('InvalidKeyUsageException');
  const padding = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' };
  try {
    const plaintext = privateDecrypt({ key, ...padding }, Buffer.from(CiphertextBlob, 'base64'));
    return { KeyId, EncryptionAlgorithm, Plaintext: plaintext.toString('base64') };
  } catch {
    return error('InvalidCiphertextException');
  }
}
