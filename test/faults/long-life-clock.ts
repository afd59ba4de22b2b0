/**
 * Moves the clock on when the process goes on after a stop, as if the stop had lasted ten minutes: what JavaScript
 * reads of Date and performance.now(). Timers and OpenSSL go by the machine's clock, which nobody moves: of a stop they
 * notice how long it really was.
 */
const FREEZE = 10 * 60_000;

let offset = 0;
process.on('SIGCONT', () => {
  offset += FREEZE;
});

const wallClock = Date.now;
const stopwatch = performance.now.bind(performance);

Date.now = () => wallClock() + offset;
performance.now = () => stopwatch() + offset;
globalThis.Date = new Proxy(Date, {
  construct: (date, parts, target) =>
    Reflect.construct(date, parts.length === 0 ? [Date.now()] : parts, target),
});
