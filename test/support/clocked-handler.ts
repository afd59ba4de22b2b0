/** lambda/handler.ts with a clock that SIGCONT moves on by ten minutes. */
import '../faults/long-life-clock.ts';

export { handler } from '../../lambda/handler.ts';
