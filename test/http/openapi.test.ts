import { operationalEventTypes, watchEventTypes } from "../../src/domain/events/event.ts";
import { describe, expect, test } from "vitest";
import { openApiDocument } from "../../src/http/operations/openapi.ts";
import { problemCatalogue } from "../../src/http/schemas/problem-catalogue.ts";
import { AnswerCheck } from "../harness/service/answer-check.ts";
import type { SeenAnswer } from "../harness/service/answer-check.ts";
import type { Answer } from "../harness/service/client.ts";
import { createTestApi } from "./test-api.ts";

const { app, request, send } = createTestApi();
const check = new AnswerCheck(openApiDocument(app, "0.1.0"));
const { document } = check;

const seen = (method: string, target: string, answer: Answer): SeenAnswer => ({ method, target, ...answer });

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
    ["post", "/v1/keys", "/v1/keys", 201, { name: "crm" }],
    ["get", "/v1/keys", "/v1/keys", 200],
    ["get", "/v1/portal-links", "/v1/portal-links", 200],
    ["post", "/v1/portal-links", "/v1/portal-links", 201, { can: "operate" }],
    ["delete", "/v1/portal-links/{id}", "/v1/portal-links/ptl_1", 204],
    ["get", "/v1/audit", "/v1/audit", 200],
    ["get", "/v1/audit", "/v1/audit?action=watch.made", 422],
    ["delete", "/v1/keys/{id}", "/v1/keys/key_1", 204],
    ["get", "/healthz", "/healthz", 200],
    ["get", "/readyz", "/readyz", 200],
    ["get", "/openapi.json", "/openapi.json", 200],
    ["get", "/docs", "/docs", 200],
  ])("%s %s as %s: %i", async (method, template, path, status, body) => {
    const response = await send(method.toUpperCase(), path, body);
    expect(response.status).toBe(status);
    expect(document.paths[template]?.[method]?.responses[status]).toBeDefined();
    expect(check.faultsOf(seen(method.toUpperCase(), path, response))).toEqual([]);
  });

  test("and what is not would be noticed", async () => {
    const me = seen("GET", "/v1/me", await send("GET", "/v1/me"));
    const withBody = (change: object) => ({ ...me, text: JSON.stringify({ ...(JSON.parse(me.text) as object), ...change }) });
    expect(check.faultsOf(me)).toEqual([]);
    expect(check.faultsOf(withBody({ extra: 1 }))).not.toEqual([]);
    expect(check.faultsOf(withBody({ name: undefined }))).not.toEqual([]);
    expect(check.faultsOf({ ...me, status: 201 })).toEqual(["GET getMe 201 is not documented"]);
    expect(check.faultsOf({ ...me, headers: { ...me.headers, "content-type": "text/plain" } })).not.toEqual([]);
    expect(check.faultsOf({ ...me, headers: { ...me.headers, "x-request-id": undefined } })).not.toEqual([]);
    const unknown = seen("GET", "/v1/watches/wch_2", await send("GET", "/v1/watches/wch_2"));
    expect(check.faultsOf({ ...unknown, text: unknown.text.replace("not-found", "lost-found") })).toEqual([
      "GET getWatch 404 does not document lost-found",
    ]);
    // A page where programs ask, a problem document where people do.
    expect(check.faultsOf({ ...unknown, headers: { ...unknown.headers, "content-type": "text/html; charset=UTF-8" } })).not.toEqual([]);
    expect(check.faultsOf({ ...unknown, target: "/dashboard/watches/wch_2" })).toEqual(["404 is application/problem+json"]);
  });
});

describe("the document", () => {
  const operations = Object.values(document.paths).flatMap((item) => Object.values(item));

  test("every route of the API is in it, and every operation has a name of its own", () => {
    const routes = app.routes.filter(({ method, path }) => method !== "ALL" && !/^\/(?:dashboard|portal|docs\/assets)\b/.test(path));
    expect(operations).toHaveLength(routes.length);
    for (const { method, path } of routes) expect(document.paths[path.replaceAll(/:(\w+)/g, "{$1}")]?.[method.toLowerCase()]).toBeDefined();
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
  });

  test("every answer of every operation has a valid example, every problem its own", () => {
    const faults = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.entries(item).flatMap(([method, { responses }]) =>
        Object.keys(responses).flatMap((status) => check.exampleFaults(path, method, status)),
      ),
    );
    expect(faults).toEqual([]);
  });

  test("every problem is an answer of some operation, but the one for other methods", () => {
    const named = operations.flatMap(({ responses }) =>
      Object.values(responses).flatMap(({ content }) => Object.keys(content?.["application/problem+json"]?.examples ?? {})),
    );
    expect([...new Set(named)].toSorted()).toEqual(
      Object.keys(problemCatalogue)
        .filter((slug) => slug !== "method-not-allowed")
        .toSorted(),
    );
  });

  test("every POST but a message of MCP takes an idempotency key and says when it replays", () => {
    const withoutKey = new Set(["/mcp"]);
    for (const [path, item] of Object.entries(document.paths)) {
      const { post } = item as Readonly<
        Record<string, { parameters?: { name: string }[]; responses: Record<string, { headers?: object }> }>
      >;
      if (post === undefined || withoutKey.has(path)) continue;
      expect(post.parameters?.map(({ name }) => name)).toContain("Idempotency-Key");
      const replayable = Object.entries(post.responses).filter(([status]) => Number(status) < 300 || status === "409");
      for (const [, { headers }] of replayable) expect(headers).toHaveProperty("Idempotency-Replayed");
    }
  });

  test("the examples of its schemas are valid", () => {
    for (const [name, { example }] of Object.entries(document.components.schemas))
      if (example !== undefined) expect([name, check.schemaNamed(name).safeParse(example).error?.issues ?? []]).toEqual([name, []]);
  });

  test("it is served as it is made, with the webhooks we send", async () => {
    const response = await request("/openapi.json");
    expect(response.headers["content-type"]).toBe("application/json");
    expect(response.body).toEqual(document);
    expect(Object.keys(document.webhooks)).toEqual([...watchEventTypes, ...operationalEventTypes, "endpoint.test"]);
  });
});

test("two apps share the definitions of their routes", () => {
  const routesOf = (each: typeof app) => each.openAPIRegistry.definitions.flatMap((item) => (item.type === "route" ? [item.route] : []));
  const first = routesOf(app);
  const second = routesOf(createTestApi().app);
  expect(first.length).toBeGreaterThan(25);
  // A schema's metadata is kept until the process ends, so definitions of each app would be a leak.
  expect(second.filter((route) => !first.includes(route)).map(({ path }) => path)).toEqual([]);
});
