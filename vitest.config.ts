import { defineConfig } from 'vitest/config';

/** Tests on a real PostgreSQL, which is started once for all of them. */
function onPostgres(name: string) {
  return {
    test: {
      name,
      include: [`test/${name}/**/*.test.ts`],
      globalSetup: 'test/support/postgres-server.ts',
      testTimeout: 60_000,
      hookTimeout: 60_000,
    },
  };
}

export default defineConfig({
  test: {
    // Most of the time is spent waiting for other processes.
    maxWorkers: 3,
    projects: [
      // Pure code without state of its own: isolation would load every module again for each file.
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], isolate: false } },
      // Templates, not deployments; loading the CDK takes a second.
      { test: { name: 'infra', include: ['test/infra/**/*.test.ts'], isolate: false, testTimeout: 60_000 } },
      onPostgres('integration'),
      // Recovery and the lives of keys, on the real command line: a process for each step.
      onPostgres('keys'),
      onPostgres('dead-letters'),
      onPostgres('faults'),
      onPostgres('takehome'),
      // Deployments to an emulator, one after the other, the tests of each in their order.
      {
        test: {
          name: 'deploy',
          include: ['test/e2e/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
