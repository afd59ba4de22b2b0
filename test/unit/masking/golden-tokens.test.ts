/**
 * Tokens that stand in tables: were one to change, new rows would no longer join with old ones. The oracles made
 * them, not the masker, and they must never be made again.
 */
import { describe, expect, it } from 'vitest';
import { isMasked, type MaskedColumn, type TableDeclaration } from '../../../lambda/events/declaration.ts';
import { loginEvents } from '../../../lambda/events/login-event.ts';
import { parseKeyset } from '../../../lambda/masking/keyset.ts';
import { columnMasker, unmask } from '../../../lambda/masking/masker.ts';
import { fromHex, hex } from './bytes.ts';
import { irreversibleToken, recoverableToken } from './oracles.ts';

const K1 = { kid: 'k1', material: 'a'.repeat(43) };
const keyset = parseKeyset(JSON.stringify({ primary: 'k1', k1: K1.material }));

interface Golden {
  readonly name: string;
  readonly column: MaskedColumn;
  /** Canonical bytes. */
  readonly value: Uint8Array;
  readonly s1: string;
  readonly h1: string;
}

const declaration: TableDeclaration = loginEvents;
const [ip, deviceId] = declaration.columns.filter(isMasked) as [MaskedColumn, MaskedColumn];

const golden: readonly Golden[] = [
  {
    name: 'the address 203.0.113.7',
    column: ip,
    value: fromHex('00000000 00000000 0000ffff cb007107'),
    s1: 's1~k1~-ZB-dsbBwGXx53opuzqjfQ-wtakkDueMpkoXTt9ZApA',
    h1: 'h1~k1~VyXFkG1r4XxOO_oeXV75qKhymJtf-fPTEobLucKtxIg',
  },
  {
    name: 'the address 2001:db8::1',
    column: ip,
    value: fromHex('20010db8 00000000 00000000 00000001'),
    s1: 's1~k1~Vq6wxQagilyka6fU9MkEKv1TTG91Cu3z1TuMLLrKc9c',
    h1: 'h1~k1~0r_C3_Iip6bY8z1zNvF_b_W1WYlLGsIgemoASaXZPiQ',
  },
  {
    name: 'a device id of 11 bytes',
    column: deviceId,
    value: Buffer.from('593-47-5928'),
    s1: 's1~k1~VDI6-q6kBxW3KNs5t5DHn-J8-53gMu6jQhhjtMnVNdY',
    h1: 'h1~k1~aPFEzW0DPjF4bp6qgEdCEOspk7RrcfDZpayeUlkQELo',
  },
  {
    name: 'a device id of 15 bytes',
    column: deviceId,
    value: Buffer.from('device-id-of-15'),
    s1: 's1~k1~sHH1cYbC4AXe7GO94anFrbWKDwaBZQO7mFVNDGaHB0w',
    h1: 'h1~k1~cUxcHm18lWFS9K5WfkWStuXvvlE_S-Ly9I8LfY9FOVw',
  },
  {
    name: 'a device id of 16 bytes',
    column: deviceId,
    value: Buffer.from('device-id-of--16'),
    s1: 's1~k1~kcwoyE7KWJMscBMsHlm5xdaiuJ_3pZnh8r3ozRlp0nwfoUc7eyiy22fbiEM7b95B',
    h1: 'h1~k1~IspsnvMnv4DAUl2Nd0YjOfp72WLycrxsPRv1twMfPQ4',
  },
  {
    name: 'a device id of 31 bytes',
    column: deviceId,
    value: Buffer.from('d'.repeat(31)),
    s1: 's1~k1~crnAL_0ESwkC5GL98dUrPWnzQL8EN9QPE5MP8fxP-S2r0cpen6shrPNbasa3-doU',
    h1: 'h1~k1~rAc99qlCKMekZOIjiJxFp_7n5ANycQtaA-VTI1f6huc',
  },
  {
    name: 'a device id of 159 bytes',
    column: deviceId,
    value: Buffer.from('d'.repeat(159)),
    s1: 's1~k1~vQg6pVCHekCMa0Y_9Jc-ySre7SrRQIG2uHXxPE9ZYUgKQi58SpOE1_-kQu7SRUZHQSVA620YmcKBTGHFD_ZtCocyqB1gMsDExcw6gwr23rNyvKYcZlmm3ggT82ojTWabOU20YxzHM5pBhYvl_1z9UZyLLyL1DoA48ue2m50yv3VKrxM1NVJH70wBuvOvB5dUHeXGt1P-5yGfVpR-WzDOD6NEOPXPlx2s__SINNnRweA',
    h1: 'h1~k1~BbChvbOjeOyuTkbWJeQ5FXuPNEPTl8edpkEFq34xZyg',
  },
];

describe.each(golden)('the tokens of $name', ({ column, value, s1, h1 }) => {
  it('are what they always were, recoverable', () => {
    expect(columnMasker(keyset, 'recoverable', column)([value])).toEqual([s1]);
  });

  it('are what they always were, irreversible', () => {
    expect(columnMasker(keyset, 'irreversible', column)([value])).toEqual([h1]);
  });

  it('open to the value, the recoverable one only', () => {
    const [opened, irreversible] = unmask(keyset, column, [s1, h1]);
    expect(opened && hex(opened)).toBe(hex(value));
    expect(irreversible).toBeUndefined();
  });

  it('are what other code makes of the same design', () => {
    expect([recoverableToken(K1, column, value), irreversibleToken(K1, column, value)]).toEqual([s1, h1]);
  });
});
