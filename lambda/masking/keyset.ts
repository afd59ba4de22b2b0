import { hkdfSync } from 'node:crypto';
import { KeysetError } from '../errors.ts';

/** The token schemes: AES-256-SIV, which a key holder can decrypt, and HMAC-SHA-256, which nobody can. */
export type Scheme = 's1' | 'h1';

const KEY_BYTES = { s1: 64, h1: 32 } as const satisfies Record<Scheme, number>;
const KID = /^[a-z][a-z0-9]{0,7}$/;
/** 43 base64url characters are 256 bits. */
const MIN_MATERIAL = 43;
const PRIMARY = 'primary';

const FACT = /^([a-z][a-z0-9]{0,7})\.(added|over|retired)$/;

/** What a keyset says of a key beside its material. */
export interface KeyFacts {
  /** When it was added, in ISO 8601. */
  readonly added?: string;
  /** The kid over whose irreversible tokens those of this key are layered. */
  readonly over?: string;
  /** When it was retired, in ISO 8601: nothing in the table is under it any more. */
  readonly retired?: string;
}

/** The keys that tokens are made with. Material stays inside: only keys derived from it come out. */
export interface Keyset {
  /** The kid that new tokens are made with. */
  readonly primary: string;
  readonly kids: readonly string[];
  /**
   * The key of a scheme: HKDF-SHA-256 (RFC 5869) of the material, empty salt, info `vizard:<scheme>:<kid>`.
   *
   * @returns 64 bytes for s1, 32 for h1
   * @throws KeysetError when the keyset has no such kid
   */
  derive(scheme: Scheme, kid: string): Uint8Array;
  /** @throws KeysetError when the keyset has no such kid */
  facts(kid: string): KeyFacts;
}

/**
 * Where a keyset comes from. The same object as long as the keyset is the same, so that what is made of it can be kept.
 *
 * @throws KeysetFailure where it can't be had now
 */
export type KeysetSource = (options?: KeysetOptions) => Promise<Keyset>;

export interface KeysetOptions {
  /** Not from a cache. @default false */
  readonly fresh?: boolean;
}

/**
 * Reads a keyset: a flat JSON object like `{"primary":"k1","k1":"<material>"}`. `primary` names the key of new
 * tokens; every other member without a dot in its name is a key, its name (kid) `[a-z][a-z0-9]{0,7}`, its material at
 * least 43 characters. With a dot it is a fact about a key: `k2.added`, `k2.over`, `k2.retired`.
 *
 * @param source where it came from, as errors name it
 * @throws KeysetError
 */
export function parseKeyset(json: string, source = 'keyset'): Keyset {
  try {
    return createKeyset(json);
  } catch (error) {
    throw error instanceof KeysetError ? new KeysetError(`${source}: ${error.message}`) : error;
  }
}

function createKeyset(json: string): Keyset {
  const { [PRIMARY]: primary, ...members } = parseMembers(json);
  const [keys, told] = partition(Object.entries(members), ([name]) => !name.includes('.'));
  for (const [kid, material] of keys) checkKey(kid, material);
  const materials = new Map(keys as [string, string][]);
  if (typeof primary !== 'string') {
    throw new KeysetError(`member "primary" expected the name of a key, got ${kind(primary)}`);
  }
  if (!materials.has(primary)) throw notOneOf(PRIMARY, materials, primary);
  const facts = collectFacts(told, materials);
  // Of two members of one name the parser takes the last, and nobody notices that a key is gone.
  if (countStrings(json) !== 2 * (1 + keys.length + told.length)) {
    throw new KeysetError(
      'expected each name once, got one that stands there twice; take out the member that is wrong',
    );
  }
  return Object.freeze<Keyset>({
    primary,
    kids: Object.freeze([...materials.keys()]),
    derive(scheme, kid) {
      const material = materials.get(kid);
      if (material === undefined) throw noKey(kid);
      return new Uint8Array(hkdfSync('sha256', material, '', `vizard:${scheme}:${kid}`, KEY_BYTES[scheme]));
    },
    facts(kid) {
      if (!materials.has(kid)) throw noKey(kid);
      return facts.get(kid) ?? {};
    },
  });
}

/** The names and values of flat JSON whose values are strings. */
function countStrings(json: string): number {
  return json.match(/"(?:[^"\\]|\\.)*"/g)?.length ?? 0;
}

function partition<T>(items: readonly T[], belongs: (item: T) => boolean): [T[], T[]] {
  return [items.filter(belongs), items.filter((item) => !belongs(item))];
}

function collectFacts(
  members: readonly (readonly [name: string, value: unknown])[],
  materials: ReadonlyMap<string, string>,
): ReadonlyMap<string, KeyFacts> {
  const facts = new Map<string, KeyFacts>();
  for (const [name, value] of members) {
    const [, kid = '', fact = ''] = FACT.exec(name) ?? [];
    if (!materials.has(kid)) {
      throw new KeysetError(
        `member ${quoteMember(name)}: expected <key>.added, <key>.over or <key>.retired of a key that is there`,
      );
    }
    checkFact(name, fact, value, materials);
    facts.set(kid, Object.freeze({ ...facts.get(kid), [fact]: value }));
  }
  for (const kid of facts.keys()) checkLayers(kid, facts);
  return facts;
}

function checkFact(name: string, fact: string, value: unknown, materials: ReadonlyMap<string, string>): void {
  if (typeof value !== 'string')
    throw new KeysetError(`member "${name}" expected a string, got ${kind(value)}`);
  if (fact === 'over') {
    if (!materials.has(value)) throw notOneOf(name, materials, value);
  } else if (!/^\d{4}-\d\d-\d\dT/.test(value) || Number.isNaN(Date.parse(value))) {
    throw new KeysetError(
      `member "${name}" expected a time like 2026-01-31T12:00:00Z, got ${value.length} other characters`,
    );
  }
}

/** Layers end at a key that has none below. */
function checkLayers(kid: string, facts: ReadonlyMap<string, KeyFacts>): void {
  const seen = new Set<string>();
  for (let at: string | undefined = kid; at !== undefined; at = facts.get(at)?.over) {
    if (seen.has(at))
      throw new KeysetError(`member "${kid}.over" leads back to "${at}": no key may lie below itself`);
    seen.add(at);
  }
}

function noKey(kid: string): KeysetError {
  return new KeysetError(`keyset: has no key ${quoteKid(kid)}`);
}

function notOneOf(member: string, materials: ReadonlyMap<string, string>, got: string): KeysetError {
  return new KeysetError(
    `member "${member}" expected one of [${[...materials.keys()].join(', ')}], got ${quoteKid(got)}`,
  );
}

function parseMembers(json: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    // The parser's message quotes the text, and the text is key material.
    throw new KeysetError(
      'expected a JSON object like {"primary":"k1","k1":"<material>"}, got text that is not JSON',
    );
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new KeysetError(
      `expected a JSON object like {"primary":"k1","k1":"<material>"}, got ${kind(value)}`,
    );
  }
  return { ...value };
}

function checkKey(kid: string, material: unknown): void {
  if (!KID.test(kid)) {
    throw new KeysetError(
      `member ${quoteKid(kid)}: expected a name of 1-8 characters a-z 0-9, a letter first`,
    );
  }
  if (typeof material !== 'string') {
    throw new KeysetError(
      `member "${kid}" expected a string of at least ${MIN_MATERIAL} characters, got ${kind(material)}`,
    );
  }
  if (material.length < MIN_MATERIAL) {
    throw new KeysetError(
      `member "${kid}" expected at least ${MIN_MATERIAL} characters, got ${material.length}`,
    );
  }
  if (!material.isWellFormed())
    throw new KeysetError(`member "${kid}" expected well-formed Unicode, got a lone surrogate`);
}

/** A name as it may be shown. Whoever mixed up name and material must not find the material in a log. */
function quoteKid(name: string): string {
  return KID.test(name) ? `"${name}"` : `(a name of ${name.length} characters)`;
}

/** As quoteKid, for the name of a fact. */
function quoteMember(name: string): string {
  return FACT.test(name) ? `"${name}"` : `(a name of ${name.length} characters)`;
}

function kind(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
