import { describe, expect, test } from "vitest";
import { chooseSecret, findDifferences } from "../../../src/domain/deliveries/endpoint-registration.ts";
import type { EndpointField } from "../../../src/domain/deliveries/endpoint-registration.ts";

const nowMs = 1000;
const secrets = [
  { fingerprint: "s1", validUntilMs: null },
  { fingerprint: "previous", validUntilMs: nowMs + 1 },
  { fingerprint: "expired", validUntilMs: nowMs },
];
const existing = { format: "standard", request: null as string | null, headersFingerprint: "h1", secrets };
const nothing = { format: null, request: null, headers: null, givenSecret: null };
const templateOf = (body: string) => `{"method":"POST","content_type":"application/json","body":${body}}`;
type Wish = Parameters<typeof findDifferences>[1];

describe("findDifferences", () => {
  test.each<
    [name: string, over: Partial<typeof existing> | { headersFingerprint: null }, wish: Partial<Wish>, fields: readonly EndpointField[]]
  >([
    ["nothing given", {}, {}, []],
    ["the same format", {}, { format: "standard" }, []],
    ["another format", {}, { format: "flat" }, ["format"]],
    [
      "the same template, its keys in another order",
      { request: templateOf('{"a":1,"b":2}') },
      { format: null, request: templateOf('{"b":2,"a":1}') },
      [],
    ],
    ["another template", { request: templateOf("1") }, { request: templateOf("2") }, ["request"]],
    ["a template where there is none", {}, { format: "template", request: templateOf("1") }, ["format", "request"]],
    ["another format where there is a template", { format: "template", request: templateOf("1") }, { format: "flat" }, ["format"]],
    ["the same headers, under an older encryption key", {}, { headers: { names: ["x"], fingerprints: ["new", "h1"] } }, []],
    ["other headers", {}, { headers: { names: ["x"], fingerprints: ["h2"] } }, ["headers"]],
    ["no headers where there are some", {}, { headers: { names: [], fingerprints: [] } }, ["headers"]],
    ["no headers where there are none", { headersFingerprint: null }, { headers: { names: [], fingerprints: ["h2"] } }, []],
    ["headers where there are none", { headersFingerprint: null }, { headers: { names: ["x"], fingerprints: ["h2"] } }, ["headers"]],
    ["the same secret", {}, { givenSecret: { fingerprints: ["s0", "s1"] } }, []],
    ["the previous secret within its grace", {}, { givenSecret: { fingerprints: ["previous"] } }, []],
    ["the previous secret after its grace", {}, { givenSecret: { fingerprints: ["expired"] } }, ["signing_secret"]],
    ["another secret", {}, { givenSecret: { fingerprints: ["s2"] } }, ["signing_secret"]],
    [
      "everything else",
      {},
      { format: "form", headers: { names: ["x"], fingerprints: [] }, givenSecret: { fingerprints: [] } },
      ["format", "headers", "signing_secret"],
    ],
  ])("%s", (_, over, wish, fields) => {
    expect(findDifferences({ ...existing, ...over }, { ...nothing, ...wish }, nowMs)).toEqual(fields);
  });

  test("an endpoint without a secret differs from a given one", () => {
    const found = findDifferences({ ...existing, secrets: [] }, { ...nothing, givenSecret: { fingerprints: ["s1"] } }, nowMs);
    expect(found).toEqual(["signing_secret"]);
  });
});

describe("chooseSecret", () => {
  const [given, generated] = [{ id: "sec_given" }, { id: "sec_generated" }];

  test("the client's own before the account's default", () => {
    const chosen = chooseSecret({ givenSecret: given, generatedSecret: generated }, "sec_default");
    expect(chosen).toEqual({ secret: given, secretId: "sec_given", isGenerated: false });
  });

  test("the account's default before a generated one, and nothing is stored again", () => {
    const chosen = chooseSecret({ givenSecret: null, generatedSecret: generated }, "sec_default");
    expect(chosen).toEqual({ secret: null, secretId: "sec_default", isGenerated: false });
  });

  test("else the generated one, which is shown", () => {
    const chosen = chooseSecret({ givenSecret: null, generatedSecret: generated }, null);
    expect(chosen).toEqual({ secret: generated, secretId: "sec_generated", isGenerated: true });
  });
});
