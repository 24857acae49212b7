import { test } from "vitest";
import { killStorm } from "./kill-storm.ts";

test("killed twice while it registers, polls, commits and delivers, the service keeps every promise", { timeout: 120_000 }, () =>
  killStorm(120, [1, 70]),
);
