import { isIPv6 } from 'node:net';

/** Bytes of the canonical form of every address. */
export const ADDRESS_BYTES = 16;

/** How many bits of an address say in which network it is. */
export const NETWORK_BITS = { ipv4: 24, ipv6: 48 } as const;

/** How many bits stand before those of an IPv4 address. */
const MAPPED_BITS = 96;
const DOT = 0x2e;
const ZERO = 0x30;

/**
 * Canonical bytes of an IP address: 16 bytes, IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2), so that every
 * spelling of one address has one form. Dotted IPv4 is strict: four decimal parts without leading zeros, which
 * some parsers would read as octal. Surrounding white space is ignored.
 *
 * @returns undefined for anything else, zone ids (RFC 4007) and prefix lengths included
 */
export function parseAddress(text: string): Uint8Array | undefined {
  const trimmed = text.trim();
  return parseIPv4(trimmed) ?? parseIPv6(trimmed);
}

/** Whether canonical bytes are of an IPv4 address. */
export function isIPv4(address: Uint8Array): boolean {
  return address[10] === 0xff && address[11] === 0xff && address.subarray(0, 10).every((byte) => byte === 0);
}

/**
 * The network of an address: its canonical bytes with host bits zero. 6to4 (RFC 3056) and NAT64 (RFC 6052) are IPv6: what
 * IPv4 address they carry is not looked for.
 */
export function toNetwork(address: Uint8Array): Uint8Array {
  const bits = isIPv4(address) ? MAPPED_BITS + NETWORK_BITS.ipv4 : NETWORK_BITS.ipv6;
  return new Uint8Array(address).fill(0, bits / 8);
}

function parseIPv4(text: string): Uint8Array | undefined {
  if (text.length > 15) return undefined;
  const bytes = new Uint8Array(ADDRESS_BYTES);
  bytes[10] = bytes[11] = 0xff;
  let part = 0;
  let value = -1;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char === DOT) {
      if (value < 0 || part === 3) return undefined;
      bytes[12 + part++] = value;
      value = -1;
    } else {
      const digit = char - ZERO;
      if (digit < 0 || digit > 9 || value === 0) return undefined;
      value = value < 0 ? digit : value * 10 + digit;
      if (value > 255) return undefined;
    }
  }
  if (value < 0 || part !== 3) return undefined;
  bytes[15] = value;
  return bytes;
}

function parseIPv6(text: string): Uint8Array | undefined {
  // isIPv6 allows a zone id, which names an interface of the sender and not a part of the address.
  if (text.includes('%') || !isIPv6(text)) return undefined;
  const [head = '', tail] = text.split('::');
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const bytes = new Uint8Array(ADDRESS_BYTES);
  bytes.set(left);
  bytes.set(right, ADDRESS_BYTES - right.length);
  return bytes;
}

/** Bytes of colon-separated groups of a text that isIPv6 has found valid; the last group may be dotted. */
function groups(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}
