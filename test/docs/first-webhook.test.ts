import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { freePort } from "../../src/cli/demo/service-process.ts";
import { compileCache } from "../harness/run/compile-cache.ts";
import { eventually } from "../harness/service/eventually.ts";
import { temporaryFolder } from "../harness/service/service.ts";
import { blocksOf, root } from "./documents.ts";

// Setup: the blocks of the guide, each in a terminal of its own, on other ports. What this proves: a reader who copies them
// receives a verified webhook.

/** Two starts of node through npm. */
const startTimeoutMs = 45_000;

test("the commands of the first webhook lead to a verified webhook", { timeout: 90_000 }, async () => {
  const [, start = "", listen = "", place = ""] = blocksOf("src/http/docs/guides/first-webhook.md", "sh");
  const ports = { 8080: await freePort(), 9000: await freePort() };
  const database = `sqlite:${join(await temporaryFolder(), "ringback.db")}`;
  const onPorts = (command: string) => command.replaceAll("8080", String(ports[8080])).replaceAll("9000", String(ports[9000]));
  const environment = { ...compileCache, PORT: String(ports[8080]), METRICS_PORT: "0", DATABASE_URL: database };

  const service = terminal(onPorts(start), environment);
  const receiver = terminal(onPorts(listen), environment);
  await eventually(
    async () => service.output() + receiver.output(),
    (text) => text.includes("listening") && text.includes("service.started"),
    startTimeoutMs,
  );
  const placed = terminal(onPorts(place), environment);
  expect(await placed.ended).toBe(0);
  expect(placed.output()).toContain('"status":"active"');
  await eventually(
    async () => receiver.output(),
    (text) => /verified +call\.queued +#1 +OUT-sandbox-failure-/.test(text),
  );
});

function terminal(command: string, environment: Readonly<Record<string, string>>) {
  let output = "";
  const child = spawn("bash", ["-c", command], {
    cwd: root,
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => void (output += text));
  let hasEnded = false;
  const ended = once(child, "close").then(([code]) => {
    hasEnded = true;
    return code as number | null;
  });
  onTestFinished(async () => {
    if (!hasEnded) process.kill(-Number(child.pid), "SIGTERM");
    await ended;
  });
  return { ended, output: () => output };
}
