import { expect, test } from "vitest";
import { upstreamKinds } from "../../../src/adapters/upstream/kinds.ts";
import { sourceFaults } from "../../../src/domain/sources/source-settings.ts";
import type { SourceSettings } from "../../../src/domain/sources/source-settings.ts";

const legacy: SourceSettings = {
  kind: "polyai-legacy",
  baseUrl: "https://api.uk-1.platform.polyai.app",
  agentId: null,
  environment: null,
  definition: null,
  statusMap: null,
  maxPollsPerSecond: 200,
};
const agents: SourceSettings = { ...legacy, kind: "polyai-agents", agentId: "agent", environment: "live" };

const fieldsOf = (name: string, settings: SourceSettings, credential = "token") =>
  sourceFaults(name, settings, credential, upstreamKinds).map(({ field }) => field);

test.each(["a", "CRM-2_eu", "x".repeat(64), "defaults", "0"])("%s is a name", (name) => {
  expect(fieldsOf(name, legacy)).toEqual([]);
});

test.each(["", "default", "sandbox", "a b", "a.b", "ä", "a/b", "x".repeat(65), "a\n"])("%j is none", (name) => {
  expect(fieldsOf(name, legacy)).toEqual(["name"]);
});

test.each<[string, SourceSettings, string, readonly string[]]>([
  ["of agents with everything", agents, "key", []],
  ["of agents without an agent", { ...agents, agentId: null }, "key", ["agentId"]],
  ["of agents with an empty environment", { ...agents, environment: "" }, "key", ["environment"]],
  ["of agents with a path for an agent", { ...agents, agentId: "../x" }, "key", ["agentId"]],
  ["legacy with an agent", { ...legacy, agentId: "agent" }, "key", ["agentId"]],
  ["of an unknown kind", { ...legacy, kind: "polyai-next" }, "key", ["kind"]],
  ["with a path", { ...legacy, baseUrl: "http://proxy.internal:8080/polyai/" }, "key", []],
  ["with a query", { ...legacy, baseUrl: "https://api.example?x=1" }, "key", ["baseUrl"]],
  ["with credentials in its URL", { ...legacy, baseUrl: "https://user:pass@api.example" }, "key", ["baseUrl"]],
  ["with no URL", { ...legacy, baseUrl: "api.example" }, "key", ["baseUrl"]],
  ["without a credential", legacy, "", ["credential"]],
  ["with a credential of two lines", legacy, "a\nb", ["credential"]],
  ["with the lowest rate", { ...legacy, maxPollsPerSecond: 0.01 }, "key", []],
  ["with no rate", { ...legacy, maxPollsPerSecond: 0 }, "key", ["maxPollsPerSecond"]],
  ["with a rate that is no number", { ...legacy, maxPollsPerSecond: Number.NaN }, "key", ["maxPollsPerSecond"]],
  [
    "with everything wrong",
    { ...agents, baseUrl: "", agentId: null, environment: null },
    "ä",
    ["baseUrl", "credential", "agentId", "environment"],
  ],
])("a source %s", (_name, settings, credential, fields) => {
  expect(fieldsOf("crm", settings, credential)).toEqual(fields);
});

test("no fault repeats a credential", () => {
  expect(JSON.stringify(sourceFaults("crm", legacy, "very secret", upstreamKinds))).not.toContain("very secret");
});
