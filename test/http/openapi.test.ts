import { describe, expect, test } from "vitest";
import { z } from "zod";
import { openApiDocument } from "../../src/http/openapi.ts";
import { createTestApi } from "./test-api.ts";

type Json = { readonly [key: string]: Json } & { readonly type?: unknown };
type Operation = {
  readonly operationId: string;
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Json }>> }>>;
};

const { app, send } = createTestApi();
const document = JSON.parse(JSON.stringify(openApiDocument(app, "0.1.0"))) as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly webhooks: Readonly<Record<string, unknown>>;
  readonly components: { readonly schemas: Readonly<Record<string, Json>> };
};

/** Objects with named properties have those and no others: what is answered is documented, to the last key. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== "object" || schema === null) return schema;
  const entries = Object.entries(schema)
    .filter(([key]) => key !== "example")
    .map(([key, value]) => [key, key === "$ref" ? String(value).replace("#/components/schemas/", "#/$defs/") : closed(value)]);
  const result = Object.fromEntries(entries) as Record<string, unknown>;
  return "properties" in result ? { additionalProperties: false, ...result } : result;
}

function schemaOf(path: string, method: string, status: number): z.ZodType {
  const content = document.paths[path]?.[method]?.responses[status]?.content ?? {};
  const [media] = Object.values(content);
  if (media === undefined) throw new Error(`${method} ${path} ${status} is not documented`);
  const $defs = closed(document.components.schemas);
  return z.fromJSONSchema({ ...(closed(media.schema) as object), $defs } as Parameters<typeof z.fromJSONSchema>[0]);
}

describe("answers are what the document says", () => {
  const watch = { call_sid: "OUT-1", callback_url: "https://a.example/", metadata: { a: "b" } };
  test.each<[string, string, string, number, unknown?]>([
    ["post", "/v1/watches", "/v1/watches", 201, watch],
    ["post", "/v1/watches", "/v1/watches", 422, { ...watch, call_sid: "x", extra: 1 }],
    ["post", "/v1/watches", "/v1/watches", 400, "{"],
    ["post", "/v1/watches/batch", "/v1/watches/batch", 200, { watches: [watch, 1] }],
    ["get", "/v1/watches", "/v1/watches", 200],
    ["get", "/v1/watches", "/v1/watches?limit=x", 422],
    ["get", "/v1/watches/{id}", "/v1/watches/wch_1", 200],
    ["get", "/v1/watches/{id}", "/v1/watches/wch_2", 404],
    ["get", "/v1/watches/{id}/events", "/v1/watches/wch_1/events", 200],
    ["get", "/v1/events", "/v1/events", 200],
    ["get", "/v1/events/{id}", "/v1/events/evt_1", 200],
    ["get", "/v1/calls/{call_sid}", "/v1/calls/OUT-1", 200],
    ["post", "/v1/hooks", "/v1/hooks", 201, { url: "https://a.example/" }],
    ["get", "/v1/hooks", "/v1/hooks", 200],
    ["get", "/v1/hooks/{id}", "/v1/hooks/hk_1", 200],
    ["get", "/v1/hooks/sample", "/v1/hooks/sample", 200],
    ["get", "/v1/endpoints", "/v1/endpoints", 200],
    ["get", "/v1/endpoints/{id}", "/v1/endpoints/ep_1", 200],
    ["patch", "/v1/endpoints/{id}", "/v1/endpoints/ep_1", 200, {}],
    ["post", "/v1/endpoints/{id}/rotate-secret", "/v1/endpoints/ep_1/rotate-secret", 200],
    ["post", "/v1/endpoints/{id}/test", "/v1/endpoints/ep_1/test", 200],
    ["post", "/v1/endpoints/{id}/recover", "/v1/endpoints/ep_1/recover", 202, { since: "2026-11-24T00:00:00Z" }],
    ["get", "/v1/deliveries", "/v1/deliveries", 200],
    ["get", "/v1/deliveries/{id}", "/v1/deliveries/dlv_1", 200],
    ["post", "/v1/deliveries/{id}/retry", "/v1/deliveries/dlv_1/retry", 202],
    ["get", "/v1/sources", "/v1/sources", 200],
    ["get", "/v1/me", "/v1/me", 200],
    ["get", "/healthz", "/healthz", 200],
    ["get", "/readyz", "/readyz", 200],
  ])("%s %s as %s: %i", async (method, template, path, status, body) => {
    const response = await send(method.toUpperCase(), path, body);
    expect(response.status).toBe(status);
    const result = schemaOf(template, method, status).safeParse(await response.json());
    expect(result.error?.issues ?? []).toEqual([]);
  });

  test("and a key too many or too few would be noticed", async () => {
    const schema = schemaOf("/v1/me", "get", 200);
    const me = (await (await send("GET", "/v1/me")).json()) as object;
    expect(schema.safeParse({ ...me, extra: 1 }).success).toBe(false);
    expect(schema.safeParse({ ...me, name: undefined }).success).toBe(false);
  });
});

describe("the document", () => {
  const operations = Object.values(document.paths).flatMap((item) => Object.values(item));

  test("every route of the API is in it, and every operation has a name of its own", () => {
    const routes = app.routes.filter(({ method, path }) => method !== "ALL" && !/^\/(openapi\.json|docs|dashboard)/.test(path));
    expect(operations).toHaveLength(routes.length);
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
  });

  test("its examples are valid", () => {
    const $defs = closed(document.components.schemas) as object;
    for (const [name, { example }] of Object.entries(document.components.schemas)) {
      if (example === undefined) continue;
      const schema = z.fromJSONSchema({ $ref: `#/$defs/${name}`, $defs } as Parameters<typeof z.fromJSONSchema>[0]);
      expect([name, schema.safeParse(example).error?.issues ?? []]).toEqual([name, []]);
    }
  });

  test("it is served as it is made, with the webhooks we send", async () => {
    const response = await app.request("/openapi.json");
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(await response.json()).toEqual(document);
    expect(Object.keys(document.webhooks)).toEqual(["event", "operational-event"]);
  });
});

describe("the page", () => {
  test("names every operation, loads nothing and runs nothing", async () => {
    const response = await app.request("/docs");
    expect(response.headers.get("content-type")).toMatch(/^text\/html/);
    const policy = response.headers.get("content-security-policy") ?? "";
    expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/=]+';/);
    expect(policy).not.toContain("unsafe");
    const page = await response.text();
    for (const [path, item] of Object.entries(document.paths))
      for (const method of Object.keys(item)) expect(page).toContain(`${method.toUpperCase()} ${path}`);
    expect(page).not.toMatch(/<script|<img|<link|src=|https?:\/\//i);
  });

  test("its style sheet is the one its policy lets in", async () => {
    const response = await app.request("/docs");
    const style = /<style>(.*?)<\/style>/s.exec(await response.text())?.[1] ?? "";
    const digest = Buffer.from(await crypto.subtle.digest("SHA-256", Buffer.from(style))).toString("base64");
    expect(response.headers.get("content-security-policy")).toContain(`'sha256-${digest}'`);
  });
});
