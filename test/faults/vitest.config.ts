import { defineConfig } from "vitest/config";
import { compileCache } from "../harness/run/compile-cache.ts";

/** What takes many minutes, `npm run test:storms`: the long forms of tests of this folder. */
export default defineConfig({
  test: {
    root: new URL("../..", import.meta.url).pathname,
    include: ["test/faults/**/*.long.ts"],
    testTimeout: 3_600_000,
    hookTimeout: 30_000,
    globalSetup: ["test/harness/postgres/postgres-server.ts"],
    pool: "forks",
    maxWorkers: 1,
    disableConsoleIntercept: true,
    env: compileCache,
  },
});
