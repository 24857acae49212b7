import { test } from "vitest";
import { killStorm } from "./kill-storm.ts";

test("killed again and again while it registers, polls, commits and delivers, the service keeps every promise", { timeout: 120_000 }, () =>
  killStorm(400, [1, 30, 150, 300, 390]),
);
