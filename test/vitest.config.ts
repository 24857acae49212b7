import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: new URL("..", import.meta.url).pathname,
    include: ["test/**/*.test.ts"],
    testTimeout: 20_000,
    hookTimeout: 30_000,
    pool: "forks",
    // Much of a test is waiting: one worker for each of two cores.
    maxWorkers: 2,
    globalSetup: ["test/support/postgres-server.ts"],
    // Every SQLite store starts a thread that loads its modules: half the time with what the one before compiled.
    env: { NODE_COMPILE_CACHE: new URL("../node_modules/.cache/node-compile", import.meta.url).pathname },
    // A test that hides a timer or a socket keeps its worker alive: say so instead of killing it.
    teardownTimeout: 10_000,
  },
});
