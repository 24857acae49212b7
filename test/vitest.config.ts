import { defineConfig } from "vitest/config";
import { LongestFirst } from "./support/longest-first.ts";

export default defineConfig({
  test: {
    root: new URL("..", import.meta.url).pathname,
    include: ["test/**/*.test.ts"],
    // They need a Chromium and have a run of their own.
    exclude: ["test/browser/**"],
    testTimeout: 20_000,
    hookTimeout: 30_000,
    pool: "forks",
    // For two cores: some of the tests always wait.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    globalSetup: ["test/support/postgres-server.ts"],
    // Every SQLite store starts a thread that loads its modules: half the time with what the one before compiled.
    env: { NODE_COMPILE_CACHE: new URL("../node_modules/.cache/node-compile", import.meta.url).pathname },
    // A test that hides a timer or a socket keeps its worker alive: say so instead of killing it.
    teardownTimeout: 10_000,
  },
});
