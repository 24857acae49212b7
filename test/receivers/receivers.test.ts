import { spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { delimiter, join } from "node:path";
import { Webhook } from "standardwebhooks";
import { request } from "undici";
import { expect, onTestFinished, test } from "vitest";
import { freePort } from "../../src/cli/demo/service-process.ts";
import type { Delivery } from "../../src/cli/receiver/receiver.ts";
import { collectingReceiver } from "../harness/receivers/collecting-receiver.ts";
import { signingSecret } from "../harness/service/environment.ts";
import { eventually } from "../harness/service/eventually.ts";
import { startService, temporaryFolder } from "../harness/service/service.ts";
import { guidePrograms, toolsOf } from "./guide-programs.ts";
import type { GuideProgram } from "./guide-programs.ts";

type SeenDelivery = { readonly status: string; readonly last_attempt: { readonly status_code: number } | null };

const root = new URL("../..", import.meta.url).pathname;
const mostAtOnce = 4;
const startDeadlineMs = 60_000;
const isRefusal = (status: number) => status >= 400 && status < 500;

test("every receiver of the guide accepts a webhook of the service once, and refuses forged and old ones", async () => {
  const programs = guidePrograms();
  expect(programs.map(({ language }) => language)).toEqual(Object.keys(toolsOf));
  const { client } = await startService();
  const collecting = await collectingReceiver();
  const watchAt = (url: string, name: string) =>
    client.post("/v1/watches", {
      call_sid: `OUT-sandbox-slow-${name}`,
      source: "sandbox",
      callback_url: url,
      signing_secret: signingSecret,
    });
  await watchAt(collecting.url, "captured");
  await collecting.until(() => collecting.deliveries.length > 0);
  const captured = collecting.deliveries[0] as Delivery;

  const check = async (program: GuideProgram): Promise<readonly string[]> => {
    const missing = (toolsOf[program.language] ?? []).filter(({ tool }) => !isOnPath(tool));
    if (missing.length > 0)
      return missing.map((needed) => `DID NOT RUN: no ${needed.tool} on the PATH (apt-get install ${needed.package})`);
    const running = await start(program);
    const { body } = await watchAt(running.url, program.file.replace(".", "-"));
    const faults: string[] = [];
    const first = await eventually(
      async () => {
        const { data } = (await client.get(`/v1/deliveries?watch_id=${String(body["id"])}`)).body as { data: SeenDelivery[] };
        return data.at(-1) ?? null;
      },
      (delivery) => delivery !== null && delivery.last_attempt !== null,
    );
    if (first?.status !== "delivered" || first.last_attempt?.status_code !== 204) faults.push(`the service got ${JSON.stringify(first)}`);

    const expectStatus = async (
      what: string,
      isRight: (status: number) => boolean,
      change: Partial<Pick<Delivery, "headers" | "body">>,
    ) => {
      const status = await send(running.url, { ...captured, ...change });
      if (!isRight(status)) faults.push(`${what} was answered ${status}`);
    };
    const changed = Buffer.from(captured.body.toString().replace("queued", "calling"));
    await expectStatus("a webhook with another body", isRefusal, { body: changed });
    await expectStatus("a webhook signed with another secret", isRefusal, {
      headers: signed(captured, 0, `whsec_${btoa("x".repeat(24))}`),
    });
    await expectStatus("a webhook 6 minutes old", isRefusal, { headers: signed(captured, -360) });
    await expectStatus("a webhook 6 minutes early", isRefusal, { headers: signed(captured, 360) });
    await expectStatus("a request without headers of a webhook", isRefusal, { headers: { "content-type": "application/json" } });
    if (running.output().includes("OUT-sandbox-slow-captured")) faults.push("a refused webhook was worked on");
    for (const repeat of [1, 2])
      await expectStatus(`the webhook, time ${repeat},`, (status) => status === 204, { headers: signed(captured, 0) });
    // Its output ends what can be said of the webhooks before it.
    const last = { ...captured, webhookId: "evt_last", body: Buffer.from(captured.body.toString().replace("slow-captured", "slow-last")) };
    const headers = { ...signed(last, 0), "webhook-id": last.webhookId };
    await expectStatus("the last webhook", (status) => status === 204, { headers, body: last.body });
    await eventually(
      async () => running.output(),
      (output) => output.includes("OUT-sandbox-slow-last"),
    );
    const times = running.output().split("OUT-sandbox-slow-captured").length - 1;
    if (times !== 1) faults.push(`worked ${times} times on one webhook`);
    return faults;
  };

  const faults: Record<string, readonly string[]> = {};
  const waiting = [...programs];
  const checkInTurn = async () => {
    for (let program = waiting.shift(); program !== undefined; program = waiting.shift())
      faults[program.language] = await check(program).catch((error: unknown) => [String(error)]);
  };
  await Promise.all(Array.from({ length: mostAtOnce }, checkInTurn));
  expect(Object.entries(faults).flatMap(([language, found]) => found.map((fault) => `${language}: ${fault}`))).toEqual([]);
});

/** Starts a program with its own command, in a folder of its own, on a free port. Rejects if it ends before it listens. */
async function start({ file, source, command }: GuideProgram): Promise<{ readonly url: string; readonly output: () => string }> {
  const folder = await temporaryFolder();
  const port = await freePort();
  await writeFile(join(folder, file), source.replaceAll("9000", String(port)));
  // In place of `npm install`.
  await symlink(join(root, "node_modules"), join(folder, "node_modules"));
  await mkdir(join(folder, "tmp"));
  let output = "";
  const child = spawn("sh", ["-c", command.replaceAll("9000", String(port)).replace("whsec_…", signingSecret)], {
    cwd: folder,
    env: { ...process.env, TMPDIR: join(folder, "tmp") },
    stdio: ["ignore", "pipe", "pipe"],
    // A group of its own, because some commands start the program as their child.
    detached: true,
  });
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => void (output += text));
  let hasEnded = false;
  const ended = once(child, "close").then(() => (hasEnded = true));
  onTestFinished(async () => {
    if (!hasEnded) process.kill(-Number(child.pid), "SIGKILL");
    await ended;
  });
  const isReady = await eventually(
    async () => hasEnded || (await accepts(port)),
    (isDone) => isDone,
    startDeadlineMs,
  );
  if (!isReady || hasEnded) throw new Error(`did not start: ${output}`);
  return { url: `http://127.0.0.1:${port}/`, output: () => output };
}

async function accepts(port: number): Promise<boolean> {
  const socket = createConnection(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Headers of the webhook as if it had been sent that many seconds from now. */
function signed({ headers, webhookId, body }: Delivery, offsetSeconds: number, secret = signingSecret): Readonly<Record<string, string>> {
  const sentAt = new Date(Date.now() + offsetSeconds * 1000);
  const signature = new Webhook(secret).sign(webhookId, sentAt, body.toString());
  return { ...headers, "webhook-timestamp": String(Math.floor(sentAt.getTime() / 1000)), "webhook-signature": signature };
}

async function send(url: string, { headers, body }: Pick<Delivery, "headers" | "body">): Promise<number> {
  const kept = Object.entries(headers).filter(([name]) => name === "content-type" || name.startsWith("webhook-"));
  const answer = await request(url, { method: "POST", headers: Object.fromEntries(kept), body });
  await answer.body.dump();
  return answer.statusCode;
}

function isOnPath(tool: string): boolean {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return folders.some((folder) => {
    try {
      accessSync(join(folder, tool), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
