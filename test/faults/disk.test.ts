import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { ServiceClient } from "../../src/cli/demo/service-client.ts";

const root = new URL("../..", import.meta.url);
const key = "disk-key-disk-key-disk-key";

/** The service where no file may grow past so many blocks of 512 bytes (null: all may), which is what a full disk is to it. */
async function serviceOn(folder: string, fileLimitBlocks: number | null) {
  const script = fileLimitBlocks === null ? 'exec "$0" "$@"' : `ulimit -f ${fileLimitBlocks}; exec "$0" "$@"`;
  const child = spawn("sh", ["-c", script, process.execPath, "--import", "./src/runtime-check.mjs", "src/main.ts"], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      DATABASE_URL: `sqlite:${join(folder, "ringback.db")}`,
      PORT: "0",
      METRICS_PORT: "0",
      HOST: "127.0.0.1",
      RINGBACK_API_KEY: key,
      CALLBACK_ALLOW: "127.0.0.1/32",
      CALLBACK_ALLOW_HTTP: "true",
    },
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const exited = once(child, "exit") as Promise<[number | null]>;
  let [stdout, stderr] = ["", ""];
  child.stderr.on("data", (chunk) => (stderr += String(chunk)));
  while (!stdout.includes("service.started")) {
    const [chunk] = (await Promise.race([once(child.stdout, "data"), exited.then(() => Promise.reject(new Error(stderr)))])) as [Buffer];
    stdout += chunk.toString();
  }
  child.stdout.resume();
  const port = /"port":(\d+)/.exec(stdout)?.[1];
  const client = new ServiceClient(new URL(`http://127.0.0.1:${port}`), key);
  onTestFinished(() => client[Symbol.asyncDispose]());
  return { child, client, exited, stderr: () => stderr };
}

test("a commit that the disk has no room for ends the process with 70, and what was answered before is there", async () => {
  // Setup: room for the schema and a few dozen registrations; clients register one after the other until it ends.
  // What this proves: after a failed commit nothing is answered, and nothing that was answered is lost.
  const folder = await mkdtemp(join(tmpdir(), "ringback-disk-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const full = await serviceOn(folder, 6000);
  const promised: string[] = [];
  const statuses = new Set<number>();
  for (let n = 0; n < 10_000; n++) {
    const draft = { call_sid: `OUT-sandbox-not-found-${n}`, source: "sandbox", callback_url: `http://127.0.0.1:9/${n}` };
    const answer = await full.client.post("/v1/watches", draft).catch(() => null);
    if (answer === null) break;
    statuses.add(answer.statusCode);
    if (answer.statusCode === 201) promised.push(String(answer.body["id"]));
  }
  expect(await full.exited).toEqual([70, null]);
  expect(full.stderr()).toMatch(/^ringback: the database failed: [^\n]+\n$/);
  expect([...statuses].filter((status) => status !== 201 && status !== 503)).toEqual([]);
  expect(promised.length).toBeGreaterThan(10);

  const roomy = await serviceOn(folder, null);
  for (const id of promised) expect((await roomy.client.get(`/v1/watches/${id}`)).statusCode, id).toBe(200);
  roomy.child.kill("SIGTERM");
  expect(await roomy.exited).toEqual([0, null]);
});
