import { execFile } from "node:child_process";
import { cpSync, symlinkSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { startCallbacks } from "../harness/receivers/callbacks.ts";
import { apiKey, fastPolling, signingSecret } from "../harness/service/environment.ts";
import { startService, temporaryFolder } from "../harness/service/service.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";
import { folderOf, isInstalled, startProgram } from "./package-program.ts";

const execute = promisify(execFile);
type Item = Readonly<Record<string, unknown>>;
type Output = readonly { readonly json: Item; readonly pairedItem: Item }[];
const folder = folderOf("n8n");
/** The service's own compiler, which needs a sixth of the time of the package's. */
const compiler = join(folder, "../../../node_modules/typescript/bin/tsc");

/** Runs a program of the package. Rejects with what it wrote. The linter has rules that change with the environment of a test. */
const run = (...args: readonly string[]) =>
  execute(process.execPath, args, { cwd: folder, env: { ...process.env, NODE_ENV: "production" } }).catch(
    (error: Error & { readonly stdout: string }) => {
      throw new Error(`${error.message}\n${error.stdout}`, { cause: error });
    },
  );

/** Compiles the nodes against the types of n8n and returns the folder, in which their imports are resolved. */
async function built(): Promise<string> {
  const place = await temporaryFolder();
  symlinkSync(join(folder, "node_modules"), join(place, "node_modules"));
  cpSync(join(folder, "package.json"), join(place, "package.json"));
  await run("build.mjs", join(place, "dist"), compiler);
  return place;
}

describe.runIf(isInstalled("n8n", "n8n-workflow"))("the n8n nodes", () => {
  test("pass n8n's linter", { timeout: 60_000 }, async () => {
    await run("node_modules/eslint/bin/eslint.js", ".");
  });

  test("need no package of the service to compile, so that their own installation is enough", async () => {
    const { stdout } = await run(compiler, "-p", ".", "--listFilesOnly");
    const files = stdout.split("\n").filter((path) => path !== "" && !/\/lib\/lib\.[a-z0-9.]+\.d\.ts$/.test(path));
    expect(files.filter((path) => !path.startsWith(folder))).toEqual([]);
    expect(files.length).toBeGreaterThan(100);
  });

  test("compile, and connect, subscribe, watch, place, wait and find as n8n runs them", { timeout: 90_000 }, async () => {
    const [place, upstream, receiver] = await Promise.all([built(), simulatedUpstream(), startCallbacks()]);
    const manifest = JSON.parse(await readFile(join(place, "package.json"), "utf8")) as {
      readonly n8n: { readonly nodes: readonly string[] };
    };
    for (const path of manifest.n8n.nodes) expect(await readFile(join(place, path), "utf8")).toContain("description");
    const [ask, service] = await Promise.all([
      startProgram("n8n-program.mjs", join(place, "dist")),
      startService({
        environment: { ...fastPolling, POLYAI_BASE_URL: upstream.url, POLYAI_AUTH_TOKEN: "token", RINGBACK_MAY_PLACE: "true" },
      }),
    ]);
    const credentials = { url: `${service.url}/`, apiKey, signingSecret };
    const step = <T = Output>(run: string, message: Item = {}) => ask<T>({ run, credentials, ...message });
    const call = (parameters: Item, message: Item = {}) => step("execute", { parameters, ...message });

    expect(await step<Item>("credentialTest")).toMatchObject({ statusCode: 200, body: { name: "default" } });
    expect(await step<Item>("credentialTest", { credentials: { ...credentials, apiKey: "wrong" } })).toMatchObject({ statusCode: 401 });
    expect(await step("sources")).toContainEqual(expect.objectContaining({ value: "default" }));

    const trigger = {
      webhookUrl: receiver.url("/webhook/1"),
      parameters: {
        events: ["terminal"],
        filters: { sources: ["default"], statuses: ["success"], metadata: { pair: [{ name: "team", value: "north" }] } },
      },
    };
    const hook = (step_: string, message: Item = trigger) => step<boolean>("hook", { step: step_, ...message });
    expect(await hook("checkExists")).toBe(false);
    expect(await hook("create")).toBe(true);
    expect(await hook("checkExists")).toBe(true);
    expect(await hook("checkExists", { ...trigger, webhookUrl: receiver.url("/webhook-test/1") })).toBe(false);
    expect(await service.client.list("/v1/hooks")).toEqual([
      expect.objectContaining({
        events: ["terminal"],
        where: { source: { in: ["default"] }, status: { in: ["success"] }, "metadata.team": "north" },
      }),
    ]);

    // The operations Watch and Wait, and the trigger on the way.
    const callSid = upstream.trigger({ scenario: [{ atMs: 0, status: "calling" }] });
    const metadata = { pair: [{ name: "team", value: "north" }] };
    const [watched] = await call({ operation: "watch", callSid, metadata });
    expect(watched).toMatchObject({ json: { call_sid: callSid, status: "active", callback_url: null }, pairedItem: { item: 0 } });
    const waiting = call({ operation: "wait", watchId: watched?.json["id"], maxMinutes: 1 });
    await upstream.polled(callSid);
    upstream.script(callSid, { scenario: [{ atMs: 0, status: "success" }] });
    expect(await waiting).toMatchObject([{ json: { status: "completed", call: { status: "success", terminal: true } } }]);
    await receiver.arrived(1);
    const { body = "", headers = {} } = receiver.received[0] ?? {};
    const started = await step<Item>("webhook", { body, headers });
    expect(started).toMatchObject({ workflowData: [[{ json: { type: "call.success", call_sid: callSid, metadata_team: "north" } }]] });
    expect(await step<Item>("webhook", { body: `${body} `, headers })).toEqual({ noWebhookResponse: true, answered: [401] });
    expect(await step<Item>("webhook", { body, headers: { ...headers, "webhook-timestamp": "1" } })).toMatchObject({ answered: [401] });
    expect(await step<Item>("webhook", { body: `${body} `, headers, credentials: { ...credentials, signingSecret: "" } })).toHaveProperty(
      "workflowData",
    );

    expect(await call({ operation: "get", callSid })).toMatchObject([{ json: { call_sid: callSid, status: "success" } }]);
    expect(await call({ operation: "get", callSid: "OUT-never-watched" })).toEqual([]);

    // Placing with the URL that resumes a Wait node. A repeat places no second call.
    const placing = {
      operation: "place",
      call: '{"to_number":"+442079460000"}',
      idempotencyKey: "lead-1",
      callbackUrl: receiver.url("/webhook-waiting/7"),
    };
    const [first] = await call(placing);
    expect(await call(placing)).toEqual([first]);
    expect(await service.client.list("/v1/placings")).toHaveLength(1);
    upstream.script(String(first?.json["call_sid"]), { scenario: [{ atMs: 0, status: "failure", reason: "busy" }] });
    await receiver.arrived(2);
    expect(receiver.received[1]?.path).toBe("/webhook-waiting/7");
    expect(JSON.parse(receiver.received[1]?.body ?? "")).toMatchObject({ type: "call.failure", reason: "busy", terminal: true });

    // What is refused: the field at fault is named, and with "continue on fail" the item carries it.
    await expect(call({ ...placing, idempotencyKey: "lead-2", source: "nothing" })).rejects.toThrow(/source/);
    await expect(call({ ...placing, call: "{" })).rejects.toThrow(/not valid JSON/);
    expect(await call({ ...placing, call: "{" }, { continues: true })).toMatchObject([{ json: { error: expect.any(String) } }]);

    expect(await hook("delete")).toBe(true);
    expect(await hook("delete")).toBe(true);
    expect(await service.client.list("/v1/hooks")).toEqual([]);
  });
});
