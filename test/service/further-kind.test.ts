import { randomBytes } from "node:crypto";
import { expect, onTestFinished, test } from "vitest";
import { protocolOf, upstreamKinds } from "../../src/adapters/upstream/kinds.ts";
import { baseUrlKind } from "../../src/adapters/upstream/base-url-kind.ts";
import { observeBody } from "../../src/adapters/upstream/observe.ts";
import { createSecretBox } from "../../src/adapters/sealing/secret-box.ts";
import { openSqliteStore } from "../../src/adapters/sqlite/store.ts";
import { setSource } from "../../src/engine/administration/sources.ts";
import { createApp } from "../../src/http/app.ts";
import type { HttpDependencies } from "../../src/http/operations/dependencies.ts";
import { openApiDocument } from "../../src/http/operations/openapi.ts";
import type { UpstreamKind } from "../../src/ports/upstream-kind.ts";
import { readSource } from "../../src/service/config.ts";
import { EnvironmentReader } from "../../src/service/environment-reader.ts";
import { FakeClock } from "../harness/fake-clock.ts";
import { seen } from "../harness/observations.ts";
import { sourceSettings } from "../harness/upstream/settings.ts";
import { testPolicy } from "../harness/store-drafts.ts";

/** A kind with a vocabulary, an address and a credential of its own: one descriptor, and one entry in the list. */
const acme: UpstreamKind = baseUrlKind({
  name: "acme",
  fields: ["environment"],
  credentialVariable: "ACME_KEY",
  credentialHeader: "Authorization",
  statusPath: ({ environment }, callSid) => `/${environment}/calls/${callSid}`,
  statusOf: (body) => ((body as { state?: unknown } | null)?.state === "done" ? { status: "over", reason: "" } : null),
  words: { over: "success" },
  fixedWords: [],
  sid: { pattern: /^C-/, description: "C- and anything", unknown: "C-0" },
});
const kinds: typeof upstreamKinds = [...upstreamKinds, acme];
const address = { kind: "acme", baseUrl: "https://api.acme.example/v2", environment: "live" };

test("a further kind is read from the environment", () => {
  const variables = { POLYAI_KIND: "acme", POLYAI_BASE_URL: address.baseUrl, POLYAI_ENVIRONMENT: "live", ACME_KEY: "k" };
  const env = new EnvironmentReader(variables);
  expect(readSource(env, kinds)).toMatchObject({ source: address, credential: "k" });
  expect(env.faults).toEqual([]);
  const half = new EnvironmentReader({ POLYAI_KIND: "acme", ACME_KEY: "k" });
  readSource(half, kinds);
  expect(half.faults).toEqual(
    ["POLYAI_BASE_URL", "POLYAI_ENVIRONMENT"].map(
      (name) => `${name}: is missing: acme needs POLYAI_BASE_URL, ACME_KEY, POLYAI_ENVIRONMENT (or none of them, for no default source)`,
    ),
  );
});

test("a further kind is asked at its own address and read by its own words", () => {
  const protocol = protocolOf(sourceSettings(address), "k", kinds);
  const { origin, headers, pathOf, sidFault } = protocol;
  expect([origin, pathOf("C-1"), headers["authorization"]]).toEqual(["https://api.acme.example", "/v2/live/calls/C-1", "k"]);
  expect([sidFault("C-1"), sidFault("OUT-1")]).toEqual([null, "must be C- and anything"]);
  expect(observeBody('{"state":"done"}', protocol)).toEqual(seen("success", "over"));
  expect(observeBody('{"status":"success"}', protocol)).toMatchObject({ kind: "failed", code: "not_json" });
});

test("a further kind can be set, and its fields are checked", async () => {
  const clock = new FakeClock();
  const store = await openSqliteStore({ path: ":memory:", policy: testPolicy });
  const options = {
    store,
    clock,
    secretBox: createSecretBox([randomBytes(32)]),
    kinds: kinds,
  } as const;
  onTestFinished(() => store.close());
  const set = await setSource(options, { name: "crm", credential: "k", ...address });
  expect(set).toMatchObject({ kind: "created", source: { kind: "acme", environment: "live", agentId: null } });
  expect(await setSource(options, { name: "crm", agentId: "a" })).toEqual({
    kind: "invalid",
    faults: [{ field: "agentId", detail: "is for polyai-agents alone" }],
  });
});

test("a further kind is in the API's document", () => {
  const limits = {
    apiMaxPerSecond: 0,
    maxActiveWatches: 0,
    maxWatchesPerCall: 0,
    maxEndpoints: 0,
    maxHooks: 0,
    manualMaxInFlight: 0,
    maxWaitingRequests: 0,
    maxStoredAnswersMib: 0,
  };
  const app = createApp({
    version: "1",
    publicUrl: null,
    limits,
    sourceKinds: kinds.map(({ name }) => name),
  } as unknown as HttpDependencies);
  const { components } = openApiDocument(app, "1");
  expect(components?.schemas?.["Source"]).toMatchObject({
    properties: { kind: { enum: ["polyai-legacy", "polyai-agents", "json", "acme"] } },
  });
});
