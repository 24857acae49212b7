import { Ajv2020 } from "ajv/dist/2020.js";
import type { ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { describe, expect, test } from "vitest";
import { operationalEventTypes, watchEventTypes } from "../../src/domain/events/event.ts";
import type { RingbackEvent } from "../../src/domain/events/event.ts";
import { payloadFormats, renderPayload, standardPayload } from "../../src/domain/events/payload.ts";
import { openApiDocument } from "../../src/http/operations/openapi.ts";
import { callEvent, operationalEvent, testEvent } from "../harness/events.ts";
import { createTestApi } from "./test-api.ts";

type Node = Readonly<Record<string, unknown>>;

const document = JSON.parse(JSON.stringify(openApiDocument(createTestApi().app, "0.1.0"))) as Node;
// A validator that shares no code with the service, as generated clients, mocks and gateways have one.
const ajv = new Ajv2020({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addSchema(document, "document");
const validators = new Map<string, ValidateFunction>();

/** The validator of a part of the document. A thousand places have two hundred schemas, and compiling one takes milliseconds. */
function validatorOf(place: string): ValidateFunction {
  const steps = place.split("/").slice(1);
  const schema = steps.reduce<unknown>(
    (node, step) => (node as Node)[decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~")],
    document,
  );
  const text = JSON.stringify(schema);
  let validate = validators.get(text);
  if (validate === undefined) validators.set(text, (validate = ajv.compile({ $ref: `document#${place}` })));
  return validate;
}

/** Values and the place of the schema that they must match. */
type Claim = { readonly at: string; readonly schema: string; readonly value: unknown };

/** Keys whose value is data, so that nothing in it is a schema. */
const data: ReadonlySet<string> = new Set(["example", "examples", "default", "enum", "const", "value"]);

function* claimsIn(node: unknown, at: string): Iterable<Claim> {
  if (typeof node !== "object" || node === null) return;
  const item = node as Node;
  const schema = "schema" in item && typeof item["schema"] === "object" ? `${at}/schema` : at;
  for (const key of ["example", "default"]) if (key in item) yield { at: `${at}/${key}`, schema, value: item[key] };
  if (typeof item["examples"] === "object" && item["examples"] !== null && schema !== at)
    for (const [name, example] of Object.entries(item["examples"]))
      yield { at: `${at}/examples/${name}`, schema, value: valueOf(example as Node) };
  for (const [key, child] of Object.entries(item)) {
    const inside = `${at}/${encodeURIComponent(key.replaceAll("~", "~0").replaceAll("/", "~1"))}`;
    // The names in `properties` are those of the API, not keywords.
    if (key === "properties") for (const [name, property] of Object.entries(child as Node)) yield* claimsIn(property, `${inside}/${name}`);
    else if (!data.has(key)) yield* claimsIn(child, inside);
  }
}

function valueOf(example: Node): unknown {
  const name = typeof example["$ref"] === "string" ? example["$ref"].split("/").at(-1) : undefined;
  if (name === undefined) return example["value"];
  const { examples } = document["components"] as { readonly examples: Readonly<Record<string, Node>> };
  return examples[name]?.["value"];
}

function* patternsIn(node: unknown): Iterable<string> {
  if (typeof node !== "object" || node === null) return;
  for (const [key, child] of Object.entries(node)) {
    if (key === "pattern" && typeof child === "string") yield child;
    else yield* patternsIn(child);
  }
}

const claims = [...claimsIn(document, "")].filter(({ schema }) => schema !== "");

test("every example and every default matches its own schema", () => {
  expect(claims.length).toBeGreaterThan(150);
  const faults = claims.flatMap(({ at, schema, value }) => {
    const validate = validatorOf(schema);
    if (validate(value)) return [];
    return [`${at}: ${ajv.errorsText(validate.errors)}: ${JSON.stringify(value)}`];
  });
  expect(faults).toEqual([]);
});

test("every pattern is plain: without flags and without classes that some engines lack", () => {
  const patterns = [...new Set(patternsIn(document))];
  expect(patterns.length).toBeGreaterThan(5);
  for (const pattern of patterns) {
    expect(pattern).toMatch(/^\^.*\$$/);
    expect(pattern).not.toMatch(/\\p|\(\?[=!<]/);
    expect(() => [new RegExp(pattern), new RegExp(pattern, "u")]).not.toThrow();
  }
});

const samples: Readonly<Record<string, RingbackEvent>> = Object.fromEntries([
  ...watchEventTypes.map((type) => [type, callEvent({ observedAfterMs: null, previousStatus: null }, { type })]),
  ...operationalEventTypes.map((type) => [type, operationalEvent(type, { hookIds: ["hk_1", "hk_2"] })]),
  ["endpoint.test", testEvent],
]);

describe("webhooks", () => {
  test("have one entry for each type, with a constant type", () => {
    expect(Object.keys(document["webhooks"] as Node)).toEqual(Object.keys(samples));
    for (const type of Object.keys(samples)) {
      const name = `${type.replaceAll(/(?:^|[._])([a-z])/g, (_, letter: string) => letter.toUpperCase())}Webhook`;
      const { schemas } = document["components"] as { readonly schemas: Readonly<Record<string, { readonly properties: Node }>> };
      expect(schemas[name]?.properties["type"]).toMatchObject({ const: type });
    }
  });

  test.each(Object.keys(samples).flatMap((type) => payloadFormats.map((format) => [type, format] as const)))(
    "%s in the format %s is what its entry says, and what no other type's entry says",
    (type, format) => {
      const event = samples[type];
      if (event === undefined) throw new Error(`no event ${type}`);
      const { body, headers } = renderPayload(event, format, null);
      const value: unknown = format === "form" ? Object.fromEntries(new URLSearchParams(body)) : JSON.parse(body);
      const entryOf = (entry: string) => {
        const media = (headers["content-type"] ?? "").replaceAll("/", "~1");
        return validatorOf(`/webhooks/${entry}/post/requestBody/content/${media}/schema`);
      };
      const validate = entryOf(type);
      expect([validate(value), ajv.errorsText(validate.errors)]).toEqual([true, "No errors"]);
      // The body of a CloudEvent has no type: its header has it.
      if (format !== "cloudevents")
        for (const other of Object.keys(samples)) expect([other, entryOf(other)(value)]).toEqual([other, other === type]);
    },
  );

  test("only the test event has facts that are null", () => {
    const validate = validatorOf("/components/schemas/CallSuccessWebhook");
    const { data } = standardPayload(callEvent({}, { type: "call.success" }));
    const head = { type: "call.success", timestamp: "2026-11-24T12:00:00.000Z" };
    expect(validate({ ...head, data })).toBe(true);
    for (const key of ["watch_id", "call_sid", "source", "reason", "terminal", "sequence", "observed_at"])
      expect([key, validate({ ...head, data: { ...data, [key]: null } })]).toEqual([key, false]);
  });
});

test("no default makes a key of a request body required in generated types", () => {
  const requests = ["WatchRequest", "HookRequest", "SecretRotation", "Recovery", "EndpointPatch", "WatchBatch", "DefaultSecret"];
  const { schemas } = document["components"] as {
    readonly schemas: Readonly<Record<string, { readonly properties: Readonly<Record<string, Node>> }>>;
  };
  const faults = requests.flatMap((name) =>
    Object.entries(schemas[name]?.properties ?? { missing: { default: name } }).flatMap(([key, schema]) =>
      "default" in schema ? [`${name}.${key}`] : [],
    ),
  );
  expect(faults).toEqual([]);
});

test("the body of a hook is one object with the URL and its aliases", () => {
  const { schemas } = document["components"] as { readonly schemas: Readonly<Record<string, Node>> };
  expect(Object.keys(schemas["HookRequest"]?.["properties"] as Node)).toEqual(
    expect.arrayContaining(["url", "target_url", "targetUrl", "hookUrl", "events", "event", "format", "headers", "signing_secret"]),
  );
  for (const keyword of ["anyOf", "oneOf", "allOf"]) expect(schemas["HookRequest"]).not.toHaveProperty(keyword);
  expect(schemas["HookRequest"]).toMatchObject({ type: "object" });
});

test.each([
  [null, "/"],
  ["https://ringback.example.com/", "https://ringback.example.com"],
  ["https://example.com/ringback/", "https://example.com/ringback"],
])("with PUBLIC_URL %s the server is %s", async (publicUrl, url) => {
  const { request } = createTestApi({ publicUrl } as Parameters<typeof createTestApi>[0]);
  const served = (await request("/openapi.json")).body as { readonly servers: readonly Node[]; readonly info: Node };
  expect(served.servers).toMatchObject([{ url }]);
  expect(served.info["contact"]).toMatchObject({ name: expect.any(String) });
});

test.each<[string, unknown, boolean]>([
  ["WatchRequest", { call_sid: "OUT-1", callback_url: "https://crm.example.com/hooks", source: "default" }, true],
  ["WatchRequest", { call_sid: "OUT-1", callback_url: null, source: "Büro ☎" }, true],
  ["WatchRequest", { call_sid: "OUT-1", source: "" }, false],
  ["WatchRequest", { call_sid: "OUT-1", source: "a\nb" }, false],
  ["WatchRequest", { call_sid: "OUT-1", source: "x".repeat(101) }, false],
  ["WatchRequest", { call_sid: "OUT-1", expires_at: null }, true],
  ["WatchRequest", { call_sid: "" }, false],
  ["WatchRequest", { call_sid: "x".repeat(133) }, false],
  ["WatchRequest", { call_sid: "CA0123456789abcdef0123456789abcdef" }, true],
  ["HookRequest", { targetUrl: "https://crm.example.com/hooks", zap_id: 1 }, true],
])("%s %j as a client sees it: %s", (name, body, valid) => {
  expect(validatorOf(`/components/schemas/${name}`)(body)).toBe(valid);
});

/** Whether a node has a description, its own or that of the component that it refers to. */
function isDescribed(node: unknown): boolean {
  if (!isNode(node)) return false;
  const { description, $ref: ref } = node;
  if (typeof description === "string" && description !== "") return true;
  return (
    typeof ref === "string" &&
    isDescribed(
      ref
        .split("/")
        .slice(1)
        .reduce<unknown>((at, key) => (isNode(at) ? at[key] : null), document),
    )
  );
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null;
}

/** Returns the places of the operations, parameters and properties that have no description. Examples are no schemas. */
function undescribed(node: unknown, place = ""): readonly string[] {
  if (!isNode(node)) return [];
  const named = [node["properties"], node["parameters"]].flatMap((group) => Object.entries(isNode(group) ? group : {}));
  const own = named.filter(([, item]) => !isDescribed(item)).map(([name]) => `${place}/${name}`);
  const operation = typeof node["operationId"] === "string" && !isDescribed(node) ? [place] : [];
  const inner = Object.entries(node).filter(([key]) => key !== "example" && key !== "examples");
  return [...operation, ...own, ...inner.flatMap(([key, child]) => undescribed(child, `${place}/${key}`))];
}

test("every operation, parameter and property is described, and one that is not would be noticed", () => {
  expect(undescribed(document)).toEqual([]);
  const id = { type: "string" };
  const planted = {
    a: [{ properties: { id, at: { ...id, description: "x" } }, example: { properties: { id } } }],
    b: { operationId: "b", parameters: [{ name: "limit" }] },
    c: { properties: { watch: { $ref: "#/components/schemas/Watch" }, other: { $ref: "#/components/schemas/Other" } } },
  };
  expect(undescribed(planted)).toEqual(["/a/0/id", "/b", "/b/0", "/c/other"]);
});
