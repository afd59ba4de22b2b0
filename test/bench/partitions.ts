import type { ClientBase } from 'pg';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { dayOf } from '../../lambda/postgres/partitions/days.ts';
import { DAYS_AHEAD, makePartitions } from '../../lambda/postgres/partitions/partitions.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { type Benchmark, compared, count, type Figure } from './benchmark.ts';
import { handlerRound, intoEmpty, LARGE_BATCHES } from './handler-round.ts';

const PARTITIONS = 400;

export const benchmark: Benchmark = {
  title: `the handler into a table of ${PARTITIONS} daily partitions ÷ into a plain one`,
  run: (stage) =>
    stage.withDatabase((plain) =>
      stage.withDatabase(async (partitioned) => {
        const figures: Figure[] = [];
        for (const size of LARGE_BATCHES.filter(({ rows }) => rows <= stage.largest)) {
          const { rows } = size;
          const name = `${count(rows)} rows`;
          const took = await stage.measure(`partitions, ${name}`, {
            plain: intoEmpty(plain, handlerRound(plain, size)),
            partitioned: intoEmpty(partitioned, handlerRound(partitioned, size)),
          });
          figures.push(
            compared(
              { what: `partitioned, ${name}`, milliseconds: took.partitioned },
              { what: 'plain', milliseconds: took.plain },
              { rows },
            ),
          );
        }
        return figures;
      }, partitionTable),
    ),
};

/** As a deployment with retention would have it after so many days. */
async function partitionTable(client: ClientBase): Promise<void> {
  const first = dayOf(Date.now()) + DAYS_AHEAD + 1 - PARTITIONS;
  await migrate(client, loginEvents, { partitions: { today: first } });
  await makePartitions(client, loginEvents, { today: first, ahead: PARTITIONS - 1 }, () => {});
}
