import { describe, expect, test } from "vitest";
import { createTestApi } from "../test-api.ts";
import { cookieOf, key, openDashboard, signIn } from "./dashboard-world.ts";

const posts = createTestApi()
  .app.routes.filter(({ method, path }) => method === "POST" && path.startsWith("/dashboard"))
  .map(({ path }) => path.replace(":id", "x_1"));

/** Requests that another site may cause: none of them may act. */
const foreign: readonly (readonly [string, Record<string, string>])[] = [
  ["from another site", { "sec-fetch-site": "cross-site" }],
  ["from another name of the same site", { "sec-fetch-site": "same-site" }],
  ["without a page that sent it", { "sec-fetch-site": "none" }],
  ["from another site, which looks like ours in Origin", { "sec-fetch-site": "cross-site", origin: "http://localhost" }],
  ["from an old browser on another site", { origin: "https://elsewhere.example" }],
  ["from another port", { origin: "http://localhost:81" }],
  ["from a sandboxed frame", { origin: "null" }],
  ["without any origin", {}],
];

describe("a form", () => {
  test("there are some", () => expect(posts.length).toBeGreaterThan(7));

  test.each(foreign)("%s is refused everywhere", async (_name, headers) => {
    const dashboard = await openDashboard();
    const { cookie, tokenOn } = await signIn(dashboard);
    const body = new URLSearchParams({ token: await tokenOn("/dashboard"), api_key: key });
    for (const path of posts) {
      const answer = await dashboard.ask(path, { method: "POST", body, headers: { cookie, ...headers } });
      expect([path, answer.status, answer.headers["set-cookie"]]).toEqual([path, 403, undefined]);
    }
  });

  test("without the session's own token is refused everywhere but at the sign-in", async () => {
    const dashboard = await openDashboard();
    const { cookie } = await signIn(dashboard);
    const token = await (await signIn(dashboard)).tokenOn("/dashboard");
    for (const path of posts.filter((path) => path !== "/dashboard/sign-in")) {
      const wrong: readonly Record<string, string>[] = [{}, { token: "" }, { token: "x".repeat(32) }, { token }];
      for (const fields of wrong) expect([path, (await dashboard.post(path, fields, { cookie })).status]).toEqual([path, 403]);
      expect([path, (await dashboard.post(path, { token })).status]).toEqual([path, 401]);
    }
  });

  test("is taken from a page of ours whose browser says so by Origin alone", async () => {
    const { ask } = await openDashboard();
    const body = new URLSearchParams({ api_key: key });
    const answer = await ask("/dashboard/sign-in", {
      method: "POST",
      body,
      headers: { host: "LOCALHOST:8080", origin: "http://localhost:8080" },
    });
    expect(answer.status).toBe(303);
    expect(cookieOf(answer)).not.toBe("");
  });

  test("of another type or size is refused", async () => {
    const dashboard = await openDashboard();
    const { cookie, submit } = await signIn(dashboard);
    const headers = { cookie, "sec-fetch-site": "same-origin" };
    const json = await dashboard.ask("/dashboard/sign-out", {
      method: "POST",
      body: "{}",
      headers: { ...headers, "content-type": "application/json" },
    });
    expect(json.status).toBe(415);
    expect((await submit("/dashboard/sign-out", { more: "x".repeat(128 * 1024) })).status).toBe(413);
  });

  test("of an endpoint's settings may leave fields out, which then change nothing", async () => {
    const changes: unknown[] = [];
    const patch = (_account: unknown, _id: unknown, change: unknown) => Promise.resolve(changes.push(change) as never);
    const { submit } = await signIn(await openDashboard({ endpointSettings: { patch } as never }));
    expect((await submit("/dashboard/endpoints/ep_1/edit", { format: "flat" })).status).toBe(303);
    expect(changes).toStrictEqual([{ format: "flat", signatures: ["v1"], maxPerSecond: null }]);
  });
});

describe("every answer", () => {
  test.each([
    ["GET", "/dashboard", 200],
    ["GET", "/dashboard/watches", 200],
    ["GET", "/dashboard/", 308],
    ["GET", "/dashboard/find?q=wch_1", 303],
    ["GET", "/dashboard/nowhere", 404],
    ["GET", "/dashboard/watches/wch_1", 404],
    ["GET", "/dashboard/watches?status=odd", 422],
    ["PUT", "/dashboard/watches", 405],
  ])("to %s %s shuts out scripts but ours, frames, other hosts and caches", async (method, path, status) => {
    const dashboard = await openDashboard();
    const { cookie } = await signIn(dashboard);
    const answer = await dashboard.ask(path, { method, headers: { cookie } });
    expect(answer.status).toBe(status);
    const policy = String(answer.headers["content-security-policy"]);
    expect(policy.split("; ").map((part) => part.replace(/'sha256-[A-Za-z0-9+/]{43}='/, "<hash>"))).toEqual([
      "default-src 'none'",
      "script-src 'self'",
      "connect-src 'self'",
      "style-src <hash>",
      "form-action 'self'",
      "base-uri 'none'",
      "frame-ancestors 'none'",
    ]);
    expect(
      Object.fromEntries(
        ["cache-control", "referrer-policy", "x-content-type-options", "x-frame-options"].map((name) => [name, answer.headers[name]]),
      ),
    ).toEqual({
      "cache-control": "no-store",
      "referrer-policy": "no-referrer",
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY",
    });
    expect(answer.headers["x-request-id"]).toMatch(/./);
  });

  test("sends a referrer to its own host where the browser sends no other origin", async () => {
    const { ask } = await openDashboard({ publicUrl: "http://10.0.0.5:8080" as never });
    expect((await ask("/dashboard", { headers: { host: "10.0.0.5:8080" } })).headers["referrer-policy"]).toBe("same-origin");
    // A proxy may have rewritten the Host.
    expect((await ask("/dashboard", { headers: { host: "localhost:8080" } })).headers["referrer-policy"]).toBe("same-origin");
    const proxied = { host: "10.0.0.5:8080", "x-forwarded-proto": "https" };
    expect((await ask("/dashboard", { headers: proxied })).headers["referrer-policy"]).toBe("no-referrer");
  });

  test("has the style sheet that the policy lets in", async () => {
    const { get } = await signIn(await openDashboard());
    const { text, headers } = await get("/dashboard");
    const style = /<style>(.*?)<\/style>/s.exec(text)?.[1] ?? "";
    const digest = Buffer.from(await crypto.subtle.digest("SHA-256", Buffer.from(style))).toString("base64");
    expect(headers["content-security-policy"]).toContain(`'sha256-${digest}'`);
  });
});

test("the account's rate holds for pages too, in one budget with the API", async () => {
  const dashboard = await openDashboard({ limits: { apiMaxPerSecond: 3 } });
  const { get } = await signIn(dashboard);
  const api = () => dashboard.ask("/v1/me", { headers: { "x-api-key": key } });
  const statuses = [(await api()).status, (await get("/dashboard")).status, (await api()).status, (await get("/dashboard")).status];
  expect(statuses).toEqual([200, 200, 200, 429]);
  const refused = await get("/dashboard");
  expect(refused.headers["retry-after"]).toBe("1");
  expect(refused.text).toContain("Too many requests");
  expect((await api()).status).toBe(429);
});

test("no key, cookie or query string is logged", async () => {
  const dashboard = await openDashboard();
  const { cookie, get } = await signIn(dashboard);
  await get("/dashboard/watches?call_sid=OUT-secret-sid");
  await get("/dashboard/secret-path");
  const lines = JSON.stringify(dashboard.logged);
  expect(dashboard.logged.map(({ fields }) => fields["route"])).toEqual(["/dashboard/sign-in", "/dashboard/watches", "unknown"]);
  for (const secret of [key, cookie.slice(20), "secret"]) expect(lines).not.toContain(secret);
});
