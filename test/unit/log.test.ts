import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeError } from '../../lambda/log.ts';

const SENTINEL = 'sentinel-203.0.113.7';

describe('describeError', () => {
  it.each([
    ['Error', new Error(SENTINEL)],
    ['TypeError', new TypeError(SENTINEL)],
    ['RangeError', new RangeError(SENTINEL)],
    ['SyntaxError', parseError(`{"ip":"${SENTINEL}"`)],
    ['AggregateError', new AggregateError([new Error(SENTINEL)], SENTINEL)],
  ])('says the class of a %s and where it was thrown, not its message', (name, error) => {
    const described = describeError(error);

    expect(described.error).toBe(name);
    expect(described.frames).toContainEqual(expect.stringContaining('log.test.ts'));
    expect(JSON.stringify(described)).not.toContain('sentinel');
  });

  it('does not show details, causes or other properties', () => {
    const error = Object.assign(new Error('refused', { cause: new Error(SENTINEL) }), {
      detail: SENTINEL,
      where: SENTINEL,
      body: { ip: SENTINEL },
    });

    expect(JSON.stringify(describeError(error))).not.toContain('sentinel');
  });

  it('does not show a message of several lines', () => {
    const error = new Error(`first ${SENTINEL}\nsecond ${SENTINEL}\r\n\n${SENTINEL}`);

    expect(JSON.stringify(describeError(error))).not.toContain('sentinel');
  });

  it.each([
    [
      'a message that looks like frames',
      new Error(`x\n    at ${SENTINEL}\n    at ${SENTINEL} (file:///a.ts:1:1)`),
    ],
    ['a name that is a value', Object.assign(new Error('x'), { name: SENTINEL })],
    ['a stack that is no text', Object.assign(new Error(SENTINEL), { stack: 5 })],
    [
      'a stack without the message',
      Object.assign(new Error('x'), { stack: `    at ${SENTINEL}`, message: 'y' }),
    ],
  ])('does not show %s', (_name, error) => {
    expect(JSON.stringify(describeError(error))).not.toContain('sentinel');
  });

  it('does not show any message that has no line like a stack frame', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (before, after) => {
        const error = new Error(`${before}${SENTINEL}${after}`);

        expect(JSON.stringify(describeError(error))).not.toContain('sentinel');
      }),
    );
  });

  it('shows ten frames at most, each one line without indentation', () => {
    const places = Array.from({ length: 30 }, (_, i) => `at step${i} (file:///app/step.ts:${i}:1)`);
    const error = new Error(SENTINEL);
    error.stack = `Error: ${SENTINEL}\n${places.map((place) => `    ${place}`).join('\n')}`;

    expect(describeError(error).frames).toEqual(places.slice(0, 10));
  });

  it('shows no frames where there is no stack', () => {
    const error = new Error(SENTINEL);
    delete error.stack;

    expect(describeError(error)).toEqual({ error: 'Error', frames: [] });
  });

  it.each([
    ['string', SENTINEL],
    ['object', { message: SENTINEL }],
    ['object', null],
    ['undefined', undefined],
    ['number', 203_011_307],
  ])('says of what is no error only that it is of type %s', (type, thrown) => {
    expect(describeError(thrown)).toEqual({ error: type });
  });
});

function parseError(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    return error;
  }
}
