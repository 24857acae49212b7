import { expect } from "vitest";
import { keepThreads } from "../sqlite/kept-threads.ts";

// Runs before each test file. Tests of the threads themselves start threads of their own, as services that are processes do.
keepThreads(expect.getState().testPath?.includes("/test/adapters/sqlite/") !== true);
