/** Keys of a keyset in which one lies over the other, and what the design makes of them a value at a time. */
import type { AddressColumn, MaskedColumn, MaskedTextColumn } from '../../../lambda/events/declaration.ts';
import { loginEvents } from '../../../lambda/events/login-event.ts';
import { type Keyset, parseKeyset } from '../../../lambda/masking/keyset.ts';
import { irreversibleToken, type OracleKey, recoverableToken } from './oracles.ts';

export const MATERIALS = { k1: '1'.repeat(43), k2: '2'.repeat(43), k3: '3'.repeat(43), k4: '4'.repeat(43) };
export type Kid = keyof typeof MATERIALS;
export const KIDS = Object.keys(MATERIALS) as Kid[];

/** k3 lies over k2 and that over k1, k4 alone. */
export const OVER: Readonly<Partial<Record<Kid, Kid>>> = { k2: 'k1', k3: 'k2' };

export const ip: AddressColumn = loginEvents.columns[2];
export const deviceId: MaskedTextColumn = loginEvents.columns[3];
export const [network] = loginEvents.further;
export const COLUMNS: readonly MaskedColumn[] = [ip, deviceId, network];

export function layeredKeyset(primary: Kid, over = OVER): Keyset {
  const facts = Object.entries(over).map(([kid, below]) => [`${kid}.over`, below]);
  return parseKeyset(JSON.stringify({ primary, ...MATERIALS, ...Object.fromEntries(facts) }));
}

export function oracleKey(kid: Kid): OracleKey {
  return { kid, material: MATERIALS[kid] };
}

/** A token of each scheme, made by other code than the masker's. */
export const oracleTokens = {
  s1: (kid: Kid, column: MaskedColumn, value: Uint8Array): string =>
    recoverableToken(oracleKey(kid), column, value),
  h1(kid: Kid, column: MaskedColumn, value: Uint8Array): string {
    const below = OVER[kid];
    const message = below === undefined ? value : Buffer.from(oracleTokens.h1(below, column, value));
    return irreversibleToken(oracleKey(kid), column, message);
  },
};
