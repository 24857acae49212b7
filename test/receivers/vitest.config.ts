import { defineConfig } from "vitest/config";

/** The receivers of the guide in all languages, `npm run test:receivers`. Needs their tools: see `toolsOf`. */
export default defineConfig({
  test: {
    root: new URL("../..", import.meta.url).pathname,
    include: ["test/receivers/**/*.test.ts"],
    testTimeout: 180_000,
    hookTimeout: 30_000,
    pool: "forks",
  },
});
