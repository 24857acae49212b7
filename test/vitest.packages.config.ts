import { defineConfig } from "vitest/config";
import suite from "./vitest.config.ts";
import { ofPackages } from "./harness/run/suites.ts";

/** What needs packages or programs of its own, `npm run test:packages`: generated clients, the apps of no-code tools, the files that operators copy. */
export default defineConfig({ test: { ...suite.test, include: ofPackages, exclude: ["**/node_modules/**"], maxWorkers: 2 } });
