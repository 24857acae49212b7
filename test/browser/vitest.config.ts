import { defineConfig } from "vitest/config";

/** What a person sees and does, in a real Chromium: `npm run test:browser`. */
export default defineConfig({
  test: {
    root: new URL("../..", import.meta.url).pathname,
    include: ["test/browser/**/*.test.ts"],
    // One test looks at every page there is.
    testTimeout: 60_000,
    hookTimeout: 30_000,
    globalSetup: ["test/browser/chromium.ts"],
    pool: "forks",
    maxWorkers: 2,
  },
});
