import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { runEntryPoint } from '../support/lambda-process.ts';

const KEY = 'arn:aws:kms:eu-central-1:000000000000:key/0123';
const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 3072 });
const SPKI = publicKey.export({ format: 'der', type: 'spki' }).toString('base64');
/** As KMS answers of a key that was made for this. */
const SEALING = {
  PublicKey: SPKI,
  KeySpec: 'RSA_3072',
  KeyUsage: 'ENCRYPT_DECRYPT',
  EncryptionAlgorithms: ['RSAES_OAEP_SHA_1', 'RSAES_OAEP_SHA_256'],
};

/** What KMS answers, and what it was asked. */
let answer: { readonly status: number; readonly body: object };
const asked: unknown[] = [];
const kms = createServer(async (request, response) => {
  asked.push([request.headers['x-amz-target'], JSON.parse(await text(request))]);
  response
    .writeHead(answer.status, { 'Content-Type': 'application/x-amz-json-1.1' })
    .end(JSON.stringify(answer.body));
});

beforeAll(async () => {
  await once(kms.listen(0, '127.0.0.1'), 'listening');
});
beforeEach(() => {
  asked.length = 0;
});
afterAll(() => kms.close());

/** Runs the function. */
function run(...events: readonly object[]) {
  const env = {
    AWS_ENDPOINT_URL_KMS: `http://127.0.0.1:${(kms.address() as AddressInfo).port}`,
    AWS_REGION: 'eu-central-1',
    AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'example',
  };
  return runEntryPoint('public-key', env, events);
}

const create = (KeyId: unknown) => ({ RequestType: 'Create', ResourceProperties: { KeyId } });

describe('the function that fetches the public half of a recovery key', () => {
  it('answers the provider framework, and asks for nothing when the stack goes', async () => {
    answer = { status: 200, body: SEALING };

    const { lines } = await run(create(KEY), {
      RequestType: 'Delete',
      PhysicalResourceId: 'public-key',
      ResourceProperties: { KeyId: KEY },
    });

    expect(lines).toEqual([
      { response: { PhysicalResourceId: 'public-key', Data: { PublicKey: SPKI } } },
      { response: { PhysicalResourceId: 'public-key' } },
    ]);
    expect(asked).toEqual([['TrentService.GetPublicKey', { KeyId: KEY }]]);
  });

  it.each([
    ['is too short', { ...SEALING, KeySpec: 'RSA_2048' }, 'RSA_2048 for ENCRYPT_DECRYPT'],
    [
      'only signs',
      { PublicKey: SPKI, KeySpec: 'RSA_3072', KeyUsage: 'SIGN_VERIFY' },
      'RSA_3072 for SIGN_VERIFY',
    ],
    [
      'is on a curve',
      { PublicKey: SPKI, KeySpec: 'ECC_NIST_P256', KeyUsage: 'KEY_AGREEMENT' },
      'ECC_NIST_P256 for KEY_AGREEMENT',
    ],
    ['has no public half', {}, 'none for nothing'],
  ])('refuses a key that %s', async (_name, body, got) => {
    answer = { status: 200, body };

    const { lines } = await run(create(KEY));

    expect(lines.find((line) => 'errorMessage' in line)).toMatchObject({
      errorType: 'VizardError',
      errorMessage: `KeyId: expected a key RSA_3072 or RSA_4096 for ENCRYPT_DECRYPT, got ${got}; name another`,
    });
  });

  it.each([
    ['AccessDeniedException', 'allow the function kms:GetPublicKey'],
    ['NotFoundException', 'name a key of this account and region'],
    ['DisabledException', 'check that the key is enabled and the function reaches KMS'],
  ])('says in one line that KMS answers %s, without what else it says', async (code, advice) => {
    answer = { status: 400, body: { __type: code, message: 'CANARY says no' } };

    const { lines, output } = await run(create(KEY));

    expect(lines.find((line) => 'errorMessage' in line)).toMatchObject({
      errorType: 'AwsFailure',
      errorMessage: `KeyId: expected a key that KMS gives out, got ${code}; ${advice}`,
    });
    expect(output).not.toContain('CANARY');
  });

  it.each([undefined, 7, ''])('asks KMS nothing where the key is %j', async (KeyId) => {
    const { lines } = await run(create(KeyId));

    expect(lines.find((line) => 'errorMessage' in line)).toMatchObject({ errorType: 'VizardError' });
    expect(asked).toEqual([]);
  });
});
