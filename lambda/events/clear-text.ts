import { isIPv4, NETWORK_BITS } from './address.ts';
import type { MaskedColumn } from './declaration.ts';

/** A byte order mark is text like any other. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The text of a masked column's canonical bytes: an address as `203.0.113.7` or in the form of RFC 5952, a network as
 * `203.0.113.0/24` or `2001:db8:1::/48`, text as it is.
 *
 * @throws TypeError where bytes of text are not UTF-8
 */
export function clearText({ type, mask }: MaskedColumn, bytes: Uint8Array): string {
  if (type === 'text') return utf8.decode(bytes);
  return mask.policy === 'network' ? networkText(bytes) : addressText(bytes);
}

function networkText(bytes: Uint8Array): string {
  return `${addressText(bytes)}/${isIPv4(bytes) ? NETWORK_BITS.ipv4 : NETWORK_BITS.ipv6}`;
}

function addressText(bytes: Uint8Array): string {
  return isIPv4(bytes) ? bytes.subarray(12).join('.') : ipv6Text(bytes);
}

/** The URL Standard writes IPv6 addresses as RFC 5952 recommends, and never dotted, as inet_ntop does with some. */
function ipv6Text(bytes: Uint8Array): string {
  const groups = Buffer.from(bytes).toString('hex').match(/.{4}/g)!;
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
