import { defineConfig } from "vitest/config";

/** What takes minutes, `npm run test:instances`: with the leases of every day what `faults.rounds.ts` does with short ones. */
export default defineConfig({
  test: {
    root: new URL("../..", import.meta.url).pathname,
    include: ["test/instances/**/*.long.ts"],
    testTimeout: 20_000,
    hookTimeout: 30_000,
    globalSetup: ["test/harness/postgres/postgres-server.ts"],
    pool: "forks",
    disableConsoleIntercept: true,
  },
});
