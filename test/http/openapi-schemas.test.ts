import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { expect, test } from "vitest";
import { openApiDocument } from "../../src/http/operations/openapi.ts";
import { createTestApi } from "./test-api.ts";

type Node = Readonly<Record<string, unknown>>;

const document = JSON.parse(JSON.stringify(openApiDocument(createTestApi().app, "0.1.0"))) as Node;
// A validator that shares no code with the service, as generated clients, mocks and gateways have one.
const ajv = new Ajv2020({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addSchema(document, "document");

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
    const validate = ajv.compile({ $ref: `document#${schema}` });
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

test.each<[string, unknown, boolean]>([
  ["WatchRequest", { call_sid: "OUT-1", callback_url: "https://crm.example.com/hooks", source: "default" }, true],
  ["WatchRequest", { call_sid: "OUT-1", callback_url: null, source: "Büro ☎" }, true],
  ["WatchRequest", { call_sid: "OUT-1", source: "" }, false],
  ["WatchRequest", { call_sid: "OUT-1", source: "a\nb" }, false],
  ["WatchRequest", { call_sid: "OUT-1", source: "x".repeat(101) }, false],
  ["WatchRequest", { call_sid: "OUT-1", expires_at: null }, true],
  ["WatchRequest", { call_sid: "1" }, false],
  ["HookRequest", { targetUrl: "https://crm.example.com/hooks", zap_id: 1 }, true],
])("%s %j as a client sees it: %s", (name, body, valid) => {
  expect(ajv.validate({ $ref: `document#/components/schemas/${name}` }, body)).toBe(valid);
});
