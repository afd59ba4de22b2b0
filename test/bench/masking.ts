import { createCipheriv, createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import { aessiv } from '@noble/ciphers/aes.js';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { type ParsedChunk, parseBatch } from '../../lambda/events/parse.ts';
import { chunkSizes } from '../../lambda/ingest.ts';
import { createAesSiv } from '../../lambda/masking/aes-siv.ts';
import { type Cells, cellAt, packCells, packPaddedCells } from '../../lambda/masking/cells.ts';
import { tableMasker } from '../../lambda/masking/table-masker.ts';
import { Tokens } from '../../lambda/masking/tokens.ts';
import { type Aim, type Benchmark, compared, count } from './benchmark.ts';
import { freshBatch, keyset } from './database.ts';
import { type Round, timed } from './rounds.ts';

/** Runs of a round of what takes little. */
const TIMES = 10;

export const benchmark: Benchmark = {
  title: 'masking alone: address and device id of every record of a batch, canonical bytes in, tokens out',
  note: 'One pass of AES-ECB over the same bytes: inside a masker that does nothing else in another way, and bare, over one buffer.',
  async run(stage) {
    const rows = stage.largest;
    const input = maskingInput(rows);
    const took = await stage.measure('masking', {
      masker: round(masker(input), TIMES),
      cipher: round(cipherAlone(input), TIMES),
      ecbMasker: round(ecbMasker(input), TIMES),
      ecb: round(ecbPass(input), TIMES),
      noble: round(nobleEach(input)),
      cipheriv: round(cipherivEach(input)),
      hmac: round(hmacEach(input, input.key.subarray(0, 32))),
      keyObject: round(hmacEach(input, createSecretKey(input.key.subarray(0, 32)))),
    });
    const name = `${count(rows)} × 2 values`;
    const sample = (way: keyof typeof took, what: string) => ({ what, milliseconds: took[way] });
    const ours = sample('masker', 'masker');
    const onePass = sample('ecbMasker', 'masker with one AES-ECB pass');
    const ecb = sample('ecb', 'one bare AES-ECB pass');
    const faster: Aim = { atLeast: 10 };
    return [
      compared({ ...ours, what: `masker, ${name}` }, onePass, { rows, aim: { atMost: 3 } }),
      compared({ ...ours, what: `masker, ${name}` }, ecb, { rows, aim: { atMost: 3 } }),
      compared(sample('cipher', 'its cipher alone, cells in, cells out'), ecb, { rows }),
      compared(sample('noble', '@noble/ciphers aessiv, each value'), ours, { rows, aim: faster }),
      compared(sample('cipheriv', 'createCipheriv, each value'), ours, { rows, aim: faster }),
      compared(sample('hmac', 'createHmac, each value, raw key'), ours, { rows, aim: faster }),
      compared(sample('keyObject', 'createHmac, each value, KeyObject'), ours, { rows }),
    ];
  },
};

/** @param times of a round, so that it takes some milliseconds */
function round(work: () => void, times = 1): Round {
  return () =>
    timed(async () => {
      for (let i = 0; i < times; i++) work();
    }, times);
}

interface MaskingInput {
  readonly chunks: readonly ParsedChunk[];
  /** Plaintexts of one masked column of one chunk each. */
  readonly cells: readonly Cells[];
  /** All plaintexts one by one. */
  readonly plaintexts: readonly Uint8Array[];
  /** 64 bytes. */
  readonly key: Uint8Array;
}

function maskingInput(rows: number): MaskingInput {
  const chunks = [...parseBatch(loginEvents, freshBatch(rows), chunkSizes(rows))];
  const cells = chunks.flatMap(({ columns }) => {
    const [addresses = [], devices = []] = columns.flatMap((column) =>
      column.kind === 'canonical' ? [column.values.filter((value) => value !== null)] : [],
    );
    return [packCells(addresses), packPaddedCells(devices)];
  });
  const plaintexts = cells.flatMap((column) => Array.from(column.lengths, (_, i) => cellAt(column, i)));
  return { chunks, cells, plaintexts, key: keyset.derive('s1', keyset.primary) };
}

function masker({ chunks }: MaskingInput): () => void {
  const { mask } = tableMasker(keyset, 'recoverable', loginEvents);
  return () => {
    for (const chunk of chunks) mask(chunk);
  };
}

const DOMAIN = new TextEncoder().encode('ip');

function cipherAlone({ cells, key }: MaskingInput): () => void {
  const { seal } = createAesSiv(key, [DOMAIN]);
  return () => {
    for (const column of cells) seal(column);
  };
}

/** What masking would take if one pass over the plaintexts were enough: all but the cipher is as in ours. */
function ecbMasker({ chunks, key }: MaskingInput): () => void {
  const cipher = createCipheriv('aes-256-ecb', key.subarray(0, 32), null).setAutoPadding(false);
  return () => {
    for (const { columns } of chunks) {
      for (const column of columns) {
        if (column.kind !== 'canonical') continue;
        const cells = packPaddedCells(column.values.filter((value) => value !== null));
        const bytes = new Uint8Array(cipher.update(cells.bytes));
        Tokens.encode('e1~k1~', { ...cells, bytes });
      }
    }
  };
}

function ecbPass({ plaintexts, key }: MaskingInput): () => void {
  const bytes = Buffer.concat(plaintexts);
  return () => {
    const cipher = createCipheriv('aes-256-ecb', key.subarray(0, 32), null).setAutoPadding(false);
    cipher.update(bytes);
    cipher.final();
  };
}

function eachValue({ plaintexts }: MaskingInput, seal: (plaintext: Uint8Array) => string): () => void {
  return () => {
    for (const plaintext of plaintexts) seal(plaintext);
  };
}

function nobleEach(input: MaskingInput): () => void {
  return eachValue(input, (plaintext) => {
    const sealed = aessiv(input.key, DOMAIN).encrypt(plaintext);
    return `s1~k1~${Buffer.from(sealed).toString('base64url')}`;
  });
}

function cipherivEach(input: MaskingInput): () => void {
  const key = input.key.subarray(0, 32);
  const iv = new Uint8Array(16);
  return eachValue(input, (plaintext) => {
    const cipher = createCipheriv('aes-256-cbc', key, iv);
    return `s1~k1~${cipher.update(plaintext, undefined, 'base64url')}${cipher.final('base64url')}`;
  });
}

function hmacEach(input: MaskingInput, key: Uint8Array | KeyObject): () => void {
  return eachValue(
    input,
    (plaintext) => `h1~k1~${createHmac('sha256', key).update(plaintext).digest('base64url')}`,
  );
}
