import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readPreset } from "../../src/adapters/json/presets.ts";
import type { PresetName } from "../../src/adapters/json/presets.ts";
import type { JsonShape } from "../../src/simulator/json-shapes.ts";
import type { Scenario } from "../../src/simulator/scenarios.ts";
import type { Simulator } from "../../src/simulator/simulator.ts";
import { FakeClock } from "../harness/fake-clock.ts";
import type { Json } from "../harness/service/client.ts";
import { scrape, valueOf } from "../harness/service/metrics-scrape.ts";
import { freePort } from "../../src/cli/demo/service-process.ts";
import { runCommand, temporaryFolder } from "../harness/service/service.ts";
import { ServiceWorld } from "../harness/service/service-world.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

type Database = "sqlite-file" | "postgres";
const secret = "Bearer s3cr3t-of-the-vendor";
const account = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

type Phase = Scenario[number];
/** A life: started at once, over after 3 s. */
const life = (start: Omit<Phase, "atMs">, ...ends: readonly Omit<Phase, "atMs">[]): Scenario => [
  { atMs: 0, ...start },
  ...ends.map((end, index) => ({ atMs: 3000 + 2000 * index, ...end })),
];

type Vendor = {
  readonly preset: PresetName;
  readonly sets: readonly string[];
  readonly shape: Omit<JsonShape, "authorization">;
  readonly calls: readonly {
    readonly sid: string;
    readonly scenario: Scenario;
    readonly type: string;
    readonly reason: string;
    readonly details?: Json;
  }[];
};

const vendors: readonly Vendor[] = [
  {
    preset: "twilio",
    sets: [`account_sid=${account}`],
    shape: {
      path: `/2010-04-01/Accounts/${account}/Calls/{id}.json`,
      template: {
        sid: "{{call_sid}}",
        status: "{{status}}",
        answered_by: "{{data.by}}",
        duration: "{{data.s}}",
        price: null,
        price_unit: "USD",
      },
    },
    calls: [
      {
        sid: `CA${"0".repeat(31)}1`,
        scenario: life({ status: "ringing" }, { status: "completed", data: { by: "human", s: "35" } }),
        type: "call.success",
        reason: "human",
        details: { duration_s: "35", price: null, price_unit: "USD", end_time: null },
      },
      {
        sid: `CA${"0".repeat(31)}2`,
        scenario: life({ status: "queued" }, { status: "no-answer" }),
        type: "call.failure",
        reason: "no-answer",
      },
      { sid: `CA${"0".repeat(31)}3`, scenario: life({ status: "queued" }, { status: "busy" }), type: "call.failure", reason: "busy" },
    ],
  },
  {
    preset: "vapi",
    sets: [],
    shape: { path: "/call/{id}", template: { id: "{{call_sid}}", status: "{{status}}", endedReason: "{{reason}}", cost: "{{data.cost}}" } },
    calls: [
      {
        sid: "00000000-0000-4000-8000-000000000001",
        // The reason comes 2 s after the end.
        scenario: life(
          { status: "in-progress", reason: null },
          { status: "ended", reason: null },
          { status: "ended", reason: "customer-ended-call", data: { cost: 0.0843 } },
        ),
        type: "call.success",
        reason: "customer-ended-call",
        details: { cost: 0.0843, started_at: null, ended_at: null, recording_url: null, summary: null },
      },
      {
        sid: "00000000-0000-4000-8000-000000000002",
        scenario: life({ status: "ringing", reason: null }, { status: "ended", reason: "pipeline-error-openai-llm-failed" }),
        type: "call.failure",
        reason: "pipeline-error-openai-llm-failed",
      },
    ],
  },
  {
    preset: "retell",
    sets: [],
    shape: {
      path: "/v2/get-call/{id}",
      template: { call_id: "{{call_sid}}", call_status: "{{status}}", disconnection_reason: "{{reason}}", duration_ms: "{{data.ms}}" },
    },
    calls: [
      {
        sid: "retell1",
        scenario: life({ status: "ongoing", reason: null }, { status: "ended", reason: "agent_hangup", data: { ms: 35_333 } }),
        type: "call.success",
        reason: "agent_hangup",
        details: { duration_ms: 35_333, cost_cents: null, in_voicemail: null, call_successful: null, recording_url: null, summary: null },
      },
      {
        sid: "retell2",
        scenario: life({ status: "ongoing", reason: null }, { status: "ended", reason: "voicemail_reached" }),
        type: "call.failure",
        reason: "voicemail_reached",
      },
      {
        sid: "retell3",
        scenario: life({ status: "registered", reason: null }, { status: "not_connected", reason: null }),
        type: "call.failure",
        reason: "not_connected",
      },
    ],
  },
  {
    preset: "bland",
    sets: [],
    shape: {
      path: "/v1/calls/{id}",
      template: {
        call_id: "{{call_sid}}",
        queue_status: "{{data.queue}}",
        status: "{{status}}",
        completed: "{{data.completed}}",
        answered_by: "{{reason}}",
      },
    },
    calls: [
      {
        sid: "bland1",
        scenario: life(
          { status: "", reason: null, data: { queue: "started" } },
          { status: "completed", reason: "voicemail", data: { queue: "complete", completed: true } },
        ),
        type: "call.success",
        reason: "voicemail",
      },
      {
        sid: "bland2",
        scenario: life(
          { status: "", reason: null, data: { queue: "new" } },
          { status: "busy", reason: null, data: { queue: "complete", completed: true } },
        ),
        type: "call.failure",
        reason: "busy",
      },
    ],
  },
  {
    preset: "github-actions",
    sets: ["owner=octo-org", "repo=octo-repo"],
    shape: {
      path: "/repos/octo-org/octo-repo/actions/runs/{id}",
      template: { id: "{{call_sid}}", status: "{{status}}", conclusion: "{{reason}}", run_attempt: 1 },
    },
    calls: [
      {
        sid: "30433642",
        scenario: life({ status: "in_progress", reason: null }, { status: "completed", reason: "success" }),
        type: "call.success",
        reason: "success",
      },
      {
        sid: "30433643",
        scenario: life({ status: "queued", reason: null }, { status: "completed", reason: "timed_out" }),
        type: "call.failure",
        reason: "timed_out",
      },
    ],
  },
];

/** Writes a preset whose host is the simulated upstream; returns its path. */
async function presetAt(upstream: Simulator, preset: PresetName): Promise<string> {
  const path = join(await temporaryFolder(), `${preset}.json`);
  await writeFile(path, (readPreset(preset) ?? "").replaceAll(/https:\/\/api\.[a-z.]+/g, upstream.url));
  return path;
}

async function start(database: Database, environment: (upstream: Simulator) => Readonly<Record<string, string>> = () => ({})) {
  const clock = new FakeClock(Date.now());
  const upstream = await simulatedUpstream({ clock });
  const world = await ServiceWorld.start(environment(upstream), { database, clock });
  return { upstream, world };
}

async function setVendor({ preset, sets, shape }: Vendor, { upstream, world }: Awaited<ReturnType<typeof start>>): Promise<void> {
  upstream.shape({ ...shape, authorization: secret });
  const flags = sets.flatMap((set) => ["--set", set]);
  const file = await presetAt(upstream, preset);
  // The default interval needs no higher rate.
  await world.service.command(
    ["source", "set", preset, "--file", file, ...flags, "--header-env", "authorization=VENDOR_AUTH", "--max-polls-per-second", "50"],
    { VENDOR_AUTH: secret },
  );
}

describe.each(["sqlite-file", "postgres"] as const)("with %s", (database) => {
  test("a call of each vendor ends with the right event, with its reason and details", { timeout: 60_000 }, async () => {
    const started = await start(database);
    const { upstream, world } = started;
    const receiver = await world.receive();
    for (const vendor of vendors) await setVendor(vendor, started);
    await world.until(async () => (await world.client.list("/v1/sources")).length === vendors.length + 1, 5000);
    for (const { preset, calls } of vendors)
      for (const { sid, scenario } of calls) {
        upstream.script(sid, { scenario, verbatim: true });
        const watch = { call_sid: sid, source: preset, callback_url: receiver.url(`/${sid}`), events: ["terminal"], format: "flat" };
        expect((await world.client.post("/v1/watches", watch)).body["type"]).toBeUndefined();
      }
    const all = vendors.flatMap(({ preset, calls }) => calls.map((call) => ({ preset, ...call })));
    await world.until(() => receiver.received.length >= all.length);
    await world.quiet();
    for (const { preset, sid, type, reason, details } of all) {
      const sent = receiver.received.filter(({ path }) => path === `/${sid}`).map(({ body }) => JSON.parse(body) as Json);
      expect([sid, sent.map((event) => [event["type"], event["reason"], event["terminal"]])]).toEqual([sid, [[type, reason, true]]]);
      if (details === undefined) continue;
      const flat = Object.entries(details).map(([name, value]) => [`details_${name}`, value]);
      expect(sent[0]).toMatchObject(Object.fromEntries(flat));
      expect(await world.get(`/v1/calls/${sid}?source=${preset}`)).toMatchObject({ terminal: true, reason, details });
      // A late watch is sent the details that are known.
      const late = await world.client.post("/v1/watches", { call_sid: sid, source: preset, callback_url: receiver.url("/late") });
      const events = await world.client.list(`/v1/watches/${String(late.body["id"])}/events`);
      expect(events).toMatchObject([{ type, data: { details } }]);
    }
    expect(JSON.stringify(world.lines)).not.toContain("s3cr3t");
    const listed = await world.service.command(["source", "list"]);
    expect(JSON.stringify(listed)).not.toContain("s3cr3t");
  });
});

test("a call of an older PolyAI project ends by its words", async () => {
  const { upstream, world } = await start("sqlite-file", (simulator) => simulator.environment("polyai-legacy"));
  const receiver = await world.receive();
  const words = ["completed", "no-answer", "Canceled"];
  for (const word of words) {
    const callSid = upstream.trigger({ scenario: life({ status: "ringing" }, { status: word }), verbatim: true });
    await world.client.post("/v1/watches", { call_sid: callSid, callback_url: receiver.url(`/${word}`) });
  }
  await world.until(() => receiver.received.length >= 6);
  const facts = receiver.received.map(({ path, body }) => {
    const { type, data } = JSON.parse(body) as { readonly type: string; readonly data: Json };
    return `${path} ${type} ${String(data["reason"])} ${JSON.stringify(data["details"])}`;
  });
  expect(facts.toSorted()).toEqual(
    [
      ...words.map((word) => `/${word} call.calling ringing {}`),
      "/completed call.success completed {}",
      "/no-answer call.failure no-answer {}",
      "/Canceled call.failure Canceled {}",
    ].toSorted(),
  );
});

test("a word in no map is passed on, counted, logged once and shown, and a new map ends the call", async () => {
  const metricsPort = String(await freePort());
  const { upstream, world } = await start("sqlite-file", () => ({ METRICS_PORT: metricsPort }));
  const receiver = await world.receive();
  const file = join(await temporaryFolder(), "source.json");
  upstream.shape({ path: "/calls/{id}", template: { state: "{{status}}", seconds: "{{data.s}}" } });
  await writeFile(
    file,
    JSON.stringify({ url: `${upstream.url}/calls/{id}`, status: "/state", map: { talking: "calling" }, details: { s: "/seconds" } }),
  );
  await world.service.command(["source", "set", "crm", "--file", file]);
  await world.until(async () => (await world.client.list("/v1/sources")).length === 2, 5000);
  for (const sid of ["a", "b"]) {
    upstream.script(sid, { scenario: [{ atMs: 0, status: "Hung-Up", data: { s: 7 } }], verbatim: true });
    await world.client.post("/v1/watches", { call_sid: sid, source: "crm", callback_url: receiver.url(`/${sid}`) });
  }
  await world.until(() => receiver.received.length >= 2);
  const typesOf = () => receiver.received.map(({ body }) => (JSON.parse(body) as Json)["type"]);
  expect(typesOf()).toEqual(["call.other", "call.other"]);
  await world.pass(10_000);
  const source = (await world.client.list("/v1/sources")).find(({ name }) => name === "crm");
  expect(source).toMatchObject({ kind: "json", state: "ok", last_unknown_status: "hung-up" });
  expect(world.lines.filter(({ message }) => message === "source.status_unknown").map(({ fields }) => fields)).toEqual([
    { source: "crm", status: "hung-up" },
  ]);
  const samples = await scrape(world.service.service.metricsPort ?? 0);
  expect(valueOf(samples, "ringback_unknown_statuses_total", { source: "sandbox" })).toBe(0);
  expect(valueOf(samples, "ringback_unknown_statuses_total", { source: "crm" })).toBeGreaterThan(2);
  await world.service.command(["source", "set", "crm", "--map", "hung-up=success"]);
  await world.until(() => receiver.received.length >= 4, 15_000);
  const last = JSON.parse(receiver.received.at(-1)?.body ?? "") as Json;
  expect(typesOf().slice(2)).toEqual(["call.success", "call.success"]);
  expect(last["data"]).toMatchObject({ reason: "Hung-Up", details: { s: 7 }, previous_status: "hung-up" });
  await world.service.command(["source", "set", "crm", "--map", "hung-up="]);
  await world.pass(5000);
  expect(await world.get("/v1/calls/a?source=crm")).toMatchObject({ status: "success", terminal: true });
});

test("a removed source ends its watches as lost with what is known, and its name stays taken", async () => {
  const metricsPort = String(await freePort());
  const started = await start("sqlite-file", () => ({ METRICS_PORT: metricsPort }));
  const { upstream, world } = started;
  const receiver = await world.receive();
  const vendor = vendors[2] as Vendor;
  await setVendor(vendor, started);
  await world.until(async () => (await world.client.list("/v1/sources")).length === 2, 5000);
  upstream.script("retell9", { scenario: [{ atMs: 0, status: "ongoing", data: { ms: 5 } }], verbatim: true });
  await world.client.post("/v1/watches", { call_sid: "retell9", source: "retell", callback_url: receiver.url("/retell9") });
  await world.until(() => receiver.received.length === 1);
  await expect(world.service.command(["source", "remove", "retell"])).rejects.toThrow(/1 active watches.*--force/);
  expect(await world.service.command(["source", "remove", "retell", "--force"])).toEqual({ name: "retell", ended_watches: 1 });
  await world.until(() => receiver.received.length === 2, 10_000);
  expect(JSON.parse(receiver.received[1]?.body ?? "")).toMatchObject({
    type: "watch.lost",
    data: { status: "calling", terminal: true, details: { duration_ms: 5 } },
  });
  const again = { call_sid: "retell8", source: "retell", callback_url: receiver.url("/again") };
  expect((await world.client.post("/v1/watches", again)).body).toMatchObject({ type: "urn:ringback:problem:no-source" });
  expect(await world.client.list("/v1/sources")).toMatchObject([{ name: "sandbox" }]);
  await world.pass(2000);
  expect((await world.client.get("/readyz")).body).toMatchObject({ ready: true, degraded: [] });
  const states = (await scrape(Number(metricsPort))).filter(
    ({ name, labels }) => name === "ringback_source_state" && labels["source"] === "retell",
  );
  expect(states.map(({ value }) => value)).toEqual([0, 0, 0, 0, 0]);
  const file = await presetAt(upstream, "retell");
  await expect(
    world.service.command(["source", "set", "retell", "--file", file, "--header-env", "authorization=A"], { A: "x" }),
  ).rejects.toThrow(/was removed at .* its name is free RETENTION_DAYS later/);
  for (const name of ["default", "sandbox"]) expect((await runCommand(["source", "remove", name])).code).toBe(2);
});

test("a request that names no source means the one that was made for its account alone, where default is not for it", async () => {
  const { upstream, world } = await start("sqlite-file", (simulator) => simulator.environment("polyai-legacy"));
  const acme = await world.service.createAccount("acme");
  const receiver = await world.receive();
  const watch = { call_sid: "1", callback_url: receiver.url("/own") };
  expect((await acme.client.post("/v1/watches", watch)).body).toMatchObject({ type: "urn:ringback:problem:no-source" });
  upstream.shape({ path: "/calls/{id}", template: { state: "{{status}}" } });
  const file = join(await temporaryFolder(), "source.json");
  await writeFile(
    file,
    JSON.stringify({ url: `${upstream.url}/calls/{id}`, id_pattern: "[0-9]+", status: "/state", map: { talking: "calling" } }),
  );
  await world.service.command(["source", "set", "shared", "--file", file]);
  await world.service.command(["source", "set", "own", "--file", file, "--account", "acme"]);
  await world.until(async () => (await acme.client.list("/v1/sources")).length === 3, 5000);
  expect(await acme.client.post("/v1/watches", watch)).toMatchObject({ status: 201, body: { source: "own" } });
  expect((await acme.client.get("/v1/calls/1")).body).toMatchObject({ source: "own" });
  expect(await acme.client.post("/v1/watches", { ...watch, call_sid: "x" })).toMatchObject({
    status: 422,
    body: { errors: [{ pointer: "/call_sid", detail: "must match [0-9]+, the id_pattern of the source" }] },
  });
  // The account of the environment uses default, although it may use the shared one too.
  expect((await world.client.post("/v1/watches", { ...watch, call_sid: "OUT-1" })).body).toMatchObject({ source: "default" });
  await world.service.command(["source", "set", "second", "--file", file, "--account", "acme"]);
  await world.until(async () => (await acme.client.list("/v1/sources")).length === 4, 5000);
  expect((await acme.client.post("/v1/watches", { ...watch, call_sid: "2" })).body).toMatchObject({
    type: "urn:ringback:problem:no-source",
  });
});
