import { defineConfig } from "vitest/config";
import { compileCache } from "./harness/run/compile-cache.ts";
import { LongestFirst } from "./harness/run/longest-first.ts";
import { memoryFolder } from "./harness/run/memory-folder.ts";
import { ofPackages } from "./harness/run/suites.ts";

// Also for the Postgres server of the run, which this process starts.
process.env["TMPDIR"] = memoryFolder();

export default defineConfig({
  test: {
    root: new URL("..", import.meta.url).pathname,
    include: ["test/**/*.test.ts"],
    // Those of the browser need a Chromium, those of the receivers eight languages, others packages. Each have a run of their own.
    exclude: ["test/browser/**", "test/receivers/**", ...ofPackages, "**/node_modules/**"],
    testTimeout: 20_000,
    hookTimeout: 30_000,
    pool: "forks",
    // A worker keeps the modules that it has loaded for the next file, which halves the processor time of short files.
    isolate: false,
    // For two cores: some of the tests always wait.
    maxWorkers: 6,
    sequence: { sequencer: LongestFirst },
    globalSetup: ["test/harness/postgres/postgres-server.ts"],
    setupFiles: ["test/harness/run/threads-of-stores.ts"],
    // Every SQLite store starts threads that load their modules.
    env: compileCache,
  },
});
