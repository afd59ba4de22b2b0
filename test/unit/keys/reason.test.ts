import { describe, expect, it } from 'vitest';
import { parseReason } from '../../../bin/keys/gate.ts';
import { VizardError } from '../../../lambda/errors.ts';

describe('a reason', () => {
  it.each([
    'SUP-1234: data subject request',
    '  trimmed  ',
    'ticket 12:30:45, order 1.2.3',
    'std::vector, key::value',
    'a :: b, a::b',
    'x'.repeat(500),
    '😀'.repeat(500),
  ])('%j is taken', (text) => {
    expect(parseReason(text)).toBe(text.trim());
  });

  it.each<[string, string]>([
    ['', 'expected 1 to 500 characters, got 0'],
    [' \t ', 'expected 1 to 500 characters, got 0'],
    ['x'.repeat(501), 'expected 1 to 500 characters, got 501'],
    ['two\nlines', 'got control characters'],
    ['bell\u0007', 'got control characters'],
    ['escape \u009b31m', 'got control characters'],
    ['turned \u202e round', 'got control characters'],
    ['abuse by 203.0.113.7', 'got an IP address'],
    ['abuse by 203.0.113.7.', 'got an IP address'],
    ['(203.0.113.7, twice)', 'got an IP address'],
    ['ip=203.0.113.7:443', 'got an IP address'],
    ['２０３.0.113.7 in full width', 'got an IP address'],
    ['of 203[.]0[.]113(.)7', 'got an IP address'],
    ['of 203 . 0. 113 .7', 'got an IP address'],
    ['of 203.000.113.007', 'got an IP address'],
    ['2001[:]db8::1. Be careful', 'got an IP address'],
    ['2001:db8::1', 'got an IP address'],
    ['seen from 2001:DB8:0:0:0:0:0:1!', 'got an IP address'],
    ['address:2001:db8::1, again', 'got an IP address'],
    ['network [2001:db8::]:', 'got an IP address'],
    ['mapped ::ffff:203.0.113.7.', 'got an IP address'],
    ['zone fe80::1%eth0', 'got an IP address'],
  ])('%j is refused in one line that does not quote it', (text, message) => {
    const error = catchError(() => parseReason(text));

    expect(error).toBeInstanceOf(VizardError);
    expect(error.message).toContain(message);
    expect(error.message).toMatch(/^--reason: [^\n]+$/);
    expect(error.message).not.toMatch(/203|db8|fe80/i);
  });
});

function catchError(work: () => unknown): Error {
  try {
    work();
  } catch (error) {
    return error as Error;
  }
  throw new Error('expected an error');
}
