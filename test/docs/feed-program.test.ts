import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { apiKey } from "../harness/service/environment.ts";
import { eventually } from "../harness/service/eventually.ts";
import { startService, temporaryFolder } from "../harness/service/service.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";
import { blocksOf } from "./documents.ts";

// Setup: the program of the guide of the feed, in a process of its own that is killed. What this proves: a reader who copies it
// works on each ending once, and on none twice.

const guide = "src/http/docs/guides/feed.md";
const startWithinMs = 30_000;

test("the program of the feed's guide goes on after a kill where it was", { timeout: 90_000 }, async () => {
  const upstream = await simulatedUpstream({ adopt: "instant" });
  const service = await startService({ environment: upstream.environment("polyai-legacy") });
  const folder = await temporaryFolder();
  await writeFile(join(folder, "feed.mjs"), blocksOf(guide, "js")[0] ?? "");
  const watch = async (sid: string) =>
    expect(await service.client.post("/v1/watches", { call_sid: sid, callback_url: null })).toMatchObject({ status: 201 });

  await watch("OUT-1");
  const first = startProgram(folder, service.url);
  await eventually(
    async () => first.sids(),
    (sids) => sids.length > 0,
    startWithinMs,
  );
  // The cursor is written behind the event, so that the kill must not come between them.
  const { next_cursor: end } = (await service.client.get("/v1/events")).body;
  await eventually(
    () => readFile(join(folder, "cursor"), "utf8"),
    (cursor) => cursor === end,
  );
  await first.kill();
  await watch("OUT-2");
  const second = startProgram(folder, service.url);
  await eventually(
    async () => second.sids(),
    (sids) => sids.length > 0,
    startWithinMs,
  );
  expect([first.sids(), second.sids()]).toEqual([["OUT-1"], ["OUT-2"]]);
});

/** Starts the program as a reader does. */
function startProgram(folder: string, url: string) {
  let output = "";
  const child = spawn(process.execPath, ["feed.mjs"], {
    cwd: folder,
    env: { ...process.env, RINGBACK: url, KEY: apiKey },
    stdio: ["ignore", "pipe", "inherit"],
  });
  child.stdout.setEncoding("utf8").on("data", (text: string) => void (output += text));
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "close");
  };
  onTestFinished(kill);
  return {
    kill,
    /** SIDs of the events that it printed, in their order. */
    sids: () =>
      output
        .split("\n")
        .slice(0, -1)
        .map((line) => (JSON.parse(line) as { readonly data: { readonly call_sid: string } }).data.call_sid),
  };
}
