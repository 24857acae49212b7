import { defineConfig } from "vitest/config";

/** The long runs: `npm run test:instances`. */
export default defineConfig({
  test: {
    root: new URL("../..", import.meta.url).pathname,
    include: ["test/instances/**/*.long.ts"],
    pool: "forks",
    teardownTimeout: 10_000,
    disableConsoleIntercept: true,
  },
});
