import { defineConfig } from "vitest/config";
import suite from "./vitest.config.ts";

/** Long rounds of kills and outages, `npm run test:long`: `npm test` has a short form of each. */
export default defineConfig({ test: { ...suite.test, include: ["test/**/*.rounds.ts"], maxWorkers: 2 } });
