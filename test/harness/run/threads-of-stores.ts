import { expect } from "vitest";
import { keepThreads } from "../sqlite/kept-threads.ts";

/** Tests of the threads themselves, which start threads of their own, as services that are processes do. */
const ofThreads = ["checkpoint", "crash", "group-queue", "lock-check", "reader"];

// Runs before each test file.
const file = expect.getState().testPath ?? "";
keepThreads(!ofThreads.some((name) => file.endsWith(`/test/adapters/sqlite/${name}.test.ts`)));
