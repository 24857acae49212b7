import { describe, expect, test } from "vitest";
import { keyScopes } from "../../src/domain/secrets/key-scopes.ts";
import type { KeyScope } from "../../src/domain/secrets/key-scopes.ts";
import { problemOf } from "../harness/service/client.ts";
import { createTestApi } from "./test-api.ts";
import { account, apiKeyView } from "./views.ts";

/** The API with one key for each of these sets of scopes, and one of the operator. */
function apiWithKeys() {
  const keys = new Map<string, readonly KeyScope[]>([["none", []], ...keyScopes.map((scope) => [scope, [scope]] as const)]);
  const api = createTestApi({
    authentication: {
      findByKey: async (given) => {
        if (given === "operator") return { kind: "operator" as const, key: { ...apiKeyView, accountId: null, scopes: ["read"] as const } };
        if (given === "ended") return { kind: "ended" as const, endedAtMs: Date.UTC(2026, 0, 1) };
        const scopes = keys.get(given);
        return scopes === undefined ? null : { kind: "account" as const, account, key: { ...apiKeyView, scopes } };
      },
    },
  });
  const ask = (key: string, method: string, path: string, body?: unknown) =>
    api.send(method, path, body, { authorization: `Bearer ${key}` });
  return { ...api, ask };
}

/** Scope of each route that needs more than `read`. A new route belongs here, or to those that read. */
const scopeOf: Readonly<Record<string, KeyScope>> = {
  "POST /v1/watches": "watch",
  "POST /v1/watches/batch": "watch",
  "DELETE /v1/watches/:id": "watch",
  "PATCH /v1/watches/:id": "watch",
  "POST /v1/calls": "place",
  "POST /v1/placings/:id/resolve": "place",
  "POST /v1/hooks": "endpoints",
  "DELETE /v1/hooks/:id": "endpoints",
  "PATCH /v1/endpoints/:id": "endpoints",
  "POST /v1/endpoints/:id/rotate-secret": "endpoints",
  "POST /v1/endpoints/:id/test": "endpoints",
  "POST /v1/endpoints/:id/recover": "endpoints",
  "POST /v1/deliveries/:id/retry": "endpoints",
  "PUT /v1/me/signing-secret": "admin",
  "POST /v1/keys": "admin",
  "GET /v1/keys": "admin",
  "DELETE /v1/keys/:id": "admin",
  "GET /v1/audit": "admin",
  "POST /v1/portal-links": "admin",
  "GET /v1/portal-links": "admin",
  "DELETE /v1/portal-links/:id": "admin",
};

describe("every route of the API", () => {
  const { app, ask } = apiWithKeys();
  const routes = app.routes
    .filter(({ method, path }) => method !== "ALL" && path.startsWith("/v1/"))
    .map(({ method, path }) => ({ method, path, at: path.replaceAll(/:\w+/g, "x_1"), name: `${method} ${path}` }));

  test("is known here", () => {
    expect(routes.length).toBeGreaterThan(25);
    expect(Object.keys(scopeOf).filter((name) => !routes.some((route) => route.name === name))).toEqual([]);
    for (const { name, method } of routes)
      expect([name, method === "GET" || name === "POST /v1/templates/preview" || name in scopeOf]).toEqual([name, true]);
  });

  test.each(routes)("$name is 403 to a key without its scope, which the answer names", async ({ name, method, at }) => {
    const scope = scopeOf[name] ?? "read";
    for (const key of ["none", ...keyScopes.filter((other) => other !== scope)]) {
      const answer = await ask(key, method, at);
      if (scope === "read") expect([key, answer.status === 403]).toEqual([key, false]);
      else {
        expect([key, answer.status]).toEqual([key, 403]);
        expect(problemOf(answer)).toMatchObject({ type: "urn:ringback:problem:scope-missing", scope });
        expect(problemOf(answer).detail).toContain(scope);
      }
    }
    expect((await ask(scope, method, at)).status).not.toBe(403);
  });

  test.each(routes)("$name is 403 to a key of the operator, but for two", async ({ name, method, at }) => {
    const answer = await ask("operator", method, at);
    if (name === "GET /v1/me" || name === "GET /v1/sources") expect(answer.status).toBe(200);
    else expect([answer.status, problemOf(answer).type]).toEqual([403, "urn:ringback:problem:operator-key"]);
  });
});

test("a key of the operator is shown without an account", async () => {
  const { ask } = apiWithKeys();
  expect((await ask("operator", "GET", "/v1/me")).body).toMatchObject({ id: null, name: null, key: { id: "key_1", scopes: ["read"] } });
});

test("a key after its end is 401, which says so", async () => {
  const { ask } = apiWithKeys();
  const answer = await ask("ended", "GET", "/v1/me");
  expect([answer.status, answer.headers["www-authenticate"]]).toEqual([401, 'Bearer realm="ringback"']);
  expect(problemOf(answer).detail).toContain("expired at 2026-01-01T00:00:00.000Z");
});

test("a key may place calls or not before its account may or not", async () => {
  const { ask } = apiWithKeys();
  expect(problemOf(await ask("watch", "POST", "/v1/calls", {})).type).toBe("urn:ringback:problem:scope-missing");
});

test.each<[object, readonly string[]]>([
  [{}, ["/name"]],
  [{ name: "" }, ["/name"]],
  [{ name: "environment" }, ["/name"]],
  [{ name: "crm", scopes: [] }, ["/scopes"]],
  [{ name: "crm", scopes: ["write"] }, ["/scopes/0"]],
  [{ name: "crm", scopes: "read" }, ["/scopes"]],
  [{ name: "crm", expires_at: "soon" }, ["/expires_at"]],
  [{ name: "crm", expires_at: "2020-01-01T00:00:00Z" }, ["/expires_at"]],
  [{ name: "crm", key: "mine" }, ["/key"]],
])("POST /v1/keys refuses %j", async (body, pointers) => {
  const { ask } = apiWithKeys();
  const answer = await ask("admin", "POST", "/v1/keys", body);
  expect(answer.status).toBe(422);
  expect(problemOf(answer).errors?.map(({ pointer }) => pointer)).toEqual(pointers);
});

describe("every form of the dashboard", () => {
  const { app, request } = apiWithKeys();
  const forms = app.routes
    .filter(({ method, path }) => method === "POST" && path.startsWith("/dashboard/"))
    .map(({ path }) => ({ path, at: path.replaceAll(/:\w+/g, "x_1") }))
    .filter(({ path }) => !path.endsWith("/sign-in") && !path.endsWith("/sign-out"));

  test("needs a scope", async () => {
    expect(forms.length).toBeGreaterThan(5);
    const begun = await request("http://localhost/dashboard/hooks", { headers: { authorization: "Bearer none" } });
    const cookie = String(begun.headers["set-cookie"]).split(";", 1)[0] ?? "";
    const token = /name="token" value="([^"]+)"/.exec(begun.text)?.[1] ?? "";
    for (const { path, at } of forms) {
      const answer = await request(`http://localhost${at}`, {
        method: "POST",
        body: new URLSearchParams({ token }),
        headers: { "sec-fetch-site": "same-origin", cookie },
      });
      expect([path, answer.status, answer.text.includes("does not have the scope")]).toEqual([path, 403, true]);
    }
  });
});
