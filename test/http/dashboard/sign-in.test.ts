import { describe, expect, test } from "vitest";
import { day, hour, minute, second, startMs } from "../../harness/store-drafts.ts";
import { newId } from "../../../src/domain/ids.ts";
import { FailedSignIns } from "../../../src/http/dashboard/session/failed-sign-ins.ts";
import { cookieOf, hashApiKey, key, openDashboard, origin, signIn } from "./dashboard-world.ts";

const signInPath = "/dashboard/sign-in";
/** Page that the sign-in leads to. */
const targetOn = ({ text }: { readonly text: string }) => /name="to" value="([^"]*)"/.exec(text)?.[1]?.replaceAll("&amp;", "&") ?? "";
const isSignInPage = (text: string) => text.includes('name="api_key"');

test("a session ends for good when its account is disabled, and a new one begins once it is enabled", async () => {
  const dashboard = await openDashboard();
  const { get } = await signIn(dashboard);
  const { clock, world, account } = dashboard;
  const set = async (isDisabled: boolean) => {
    await world.store.setAccountState({ accountId: account.id, isDisabled, by: null, nowMs: clock.nowMs() });
    // A key that was found is remembered for 5 s.
    await clock.advance(5 * second);
  };
  expect((await get("/dashboard")).status).toBe(200);
  await set(true);
  expect((await get("/dashboard")).status).toBe(403);
  await set(false);
  const over = await get("/dashboard");
  expect([over.status, over.text.includes("or its account was disabled")]).toEqual([401, true]);
  expect((await (await signIn(dashboard)).get("/dashboard")).status).toBe(200);
});

describe("who is not signed in", () => {
  test.each(["/dashboard", "/dashboard/watches", "/dashboard/watches/wch_1", "/dashboard/nowhere"])(
    "is asked for a key at %s",
    async (path) => {
      const { ask } = await openDashboard();
      const answer = await ask(path);
      expect(answer.status).toBe(401);
      expect(answer.headers["www-authenticate"]).toMatch(/^Bearer/);
      expect(answer.headers["content-type"]).toMatch(/^text\/html/);
      expect(isSignInPage(answer.text)).toBe(true);
      expect(answer.text).toMatch(/<label for="api_key">/);
      expect(answer.text).not.toContain("Sign out");
    },
  );

  test.each([
    "/dashboard/deliveries?status=pending",
    "/dashboard/find?q=a+b",
    "/dashboard/find?q=a%2Bb%20c",
    "/dashboard/watches?status=active&call_sid=OUT-1&cursor=a~b",
    "/dashboard/find?q=(c)*!,;:@/?$[d]",
  ])("goes on where they wanted to go: %s", async (wanted) => {
    const { ask, post } = await openDashboard();
    const target = targetOn(await ask(wanted));
    const answer = await post(signInPath, { api_key: key, to: target });
    expect([answer.status, answer.headers["location"]]).toEqual([303, wanted]);
    // A mistyped key does not lose the way.
    expect(targetOn(await post(signInPath, { api_key: "rb_unknown_key_0123456789", to: target }))).toBe(wanted);
  });

  test.each([
    "https://elsewhere.example/",
    "//elsewhere.example/",
    "/dashboard//elsewhere.example",
    "/dashboard/../v1/me",
    "/dashboard\\elsewhere",
    "/v1/me",
    "/dashboardx",
    "javascript:alert(1)",
    "/dashboard?q=a#b",
    '/dashboard?q="><script>',
    "/dashboard?q=a b",
    "/dashboard\r\nset-cookie: a=b",
    "",
  ])("is sent to no page but ours: %j", async (to) => {
    const { post } = await openDashboard();
    const { status, headers } = await post(signInPath, { api_key: key, to });
    expect(status).toBe(303);
    expect(new URL(headers["location"] ?? "", origin).href).toMatch(/^http:\/\/localhost\/dashboard(\/|$)/);
  });

  test.each([
    ["unknown", "rb_unknown_key_0123456789"],
    ["empty", ""],
    ["too long", "x".repeat(513)],
  ])("gets the page again with a line when the key is %s", async (_name, wrong) => {
    const { post } = await openDashboard();
    const answer = await post(signInPath, { api_key: wrong });
    expect(answer.status).toBe(401);
    expect(answer.text).toContain("This key is not valid");
    expect(answer.text).toContain('role="alert"');
    expect(isSignInPage(answer.text)).toBe(true);
    expect(answer.headers["set-cookie"]).toBeUndefined();
    if (wrong !== "") expect(answer.text).not.toContain(wrong);
  });

  test("loads the overview again where the sign-in stood", async () => {
    const { ask } = await openDashboard();
    const { status, headers } = await ask(signInPath);
    expect([status, headers["location"]]).toEqual([303, "/dashboard"]);
  });
});

describe("the cookie", () => {
  test("is kept from scripts, other sites and other paths, and holds no key", async () => {
    const { post } = await openDashboard();
    const answer = await post(signInPath, { api_key: key });
    expect([answer.status, answer.headers["location"]]).toEqual([303, "/dashboard"]);
    const cookie = String(answer.headers["set-cookie"]);
    const [, ...attributes] = cookie.split("; ");
    expect(attributes.toSorted()).toEqual(["HttpOnly", "Max-Age=43200", "Path=/dashboard", "SameSite=Lax"]);
    const value = cookieOf(answer).slice("ringback_session=".length);
    for (const text of [value, Buffer.from(value, "base64url").toString("latin1")]) expect(text).not.toContain(key);
  });

  test.each<[string, Record<string, string>, string | null, boolean]>([
    ["loopback", { host: "localhost:8080" }, null, false],
    ["a loopback address", { host: "127.0.0.1:8080" }, null, false],
    ["a loopback address of IPv6", { host: "[::1]:8080" }, null, false],
    ["another name", { host: "ringback.example" }, null, true],
    ["a name that begins like loopback", { host: "localhost.example" }, null, true],
    ["a private address", { host: "10.0.0.5:8080" }, null, true],
    ["the plain address the operator gave", { host: "10.0.0.5:8080" }, "http://10.0.0.5:8080/", false],
    ["another one than that", { host: "10.0.0.6:8080" }, "http://10.0.0.5:8080/", true],
    ["an https address the operator gave", { host: "ringback.example" }, "https://ringback.example", true],
    ["TLS ended by a proxy on this machine", { host: "localhost", "x-forwarded-proto": "https" }, null, true],
    ["TLS ended by a proxy, plain address given", { host: "a.example", "x-forwarded-proto": "https" }, "http://a.example", true],
  ])("at %s", async (_name, headers, publicUrl, isSecure) => {
    const { post } = await openDashboard({ publicUrl: publicUrl as never });
    const answer = await post(signInPath, { api_key: key }, headers);
    expect(answer.status).toBe(303);
    expect((answer.headers["set-cookie"] ?? "").includes("; Secure")).toBe(isSecure);
  });

  test.each<[string, Record<string, string>, number]>([
    ["behind a proxy that rewrites Host", { host: "10.1.2.3:8080", origin: "http://ringback.lan" }, 303],
    ["behind a proxy that rewrites Host to loopback", { host: "localhost:8080", origin: "http://ringback.lan" }, 303],
    ["on another port of the public name", { host: "10.1.2.3:8080", origin: "http://ringback.lan:81" }, 403],
    ["with another scheme", { host: "10.1.2.3:8080", origin: "https://ringback.lan" }, 403],
    ["on a page of another site", { host: "10.1.2.3:8080", origin: "http://elsewhere.example" }, 403],
    ["without an origin", { host: "10.1.2.3:8080", origin: "null" }, 403],
    ["of another site, as the browser says", { host: "10.1.2.3:8080", origin: "http://ringback.lan", "sec-fetch-site": "cross-site" }, 403],
  ])("a form %s", async (_name, headers, status) => {
    const { ask } = await openDashboard({ publicUrl: "http://ringback.lan/" as never });
    const answer = await ask(signInPath, { method: "POST", body: new URLSearchParams({ api_key: key }), headers });
    expect(answer.status).toBe(status);
    if (status === 303) expect(answer.headers["set-cookie"]).not.toContain("; Secure");
    expect((await ask("/dashboard", { headers: { host: headers["host"] ?? "" } })).headers["referrer-policy"]).toBe("same-origin");
  });

  test("an https PUBLIC_URL is an origin too, and its cookie is Secure", async () => {
    const { ask } = await openDashboard({ publicUrl: "https://ringback.example/" as never });
    const headers = { host: "10.1.2.3:8080", origin: "https://ringback.example" };
    const answer = await ask(signInPath, { method: "POST", body: new URLSearchParams({ api_key: key }), headers });
    expect([answer.status, String(answer.headers["set-cookie"]).includes("; Secure")]).toEqual([303, true]);
  });

  test.each([
    [null, "ringback_session"],
    ["http://ringback.lan", "ringback_session"],
    ["https://ringback.example/", "__Secure-ringback"],
  ])("of PUBLIC_URL %s is %s, and no other name opens a page", async (publicUrl, name) => {
    const dashboard = await openDashboard({ publicUrl: publicUrl as never });
    for (const host of ["localhost", "ringback.example"]) {
      const cookie = String((await dashboard.post(signInPath, { api_key: key }, { host })).headers["set-cookie"]);
      expect(cookie).toMatch(new RegExp(`^${name}=[^;]+;`));
      expect(cookie).toContain("SameSite=Lax");
      // A browser drops a cookie of this prefix without it.
      if (name.startsWith("__Secure-")) expect(cookie).toContain("; Secure");
    }
    const { cookie, get, submit } = await signIn(dashboard);
    expect((await get("/dashboard")).status).toBe(200);
    const other = name === "ringback_session" ? "__Secure-ringback" : "ringback_session";
    expect((await dashboard.ask("/dashboard", { headers: { cookie: cookie.replace(name, other) } })).status).toBe(401);
    expect((await submit("/dashboard/sign-out")).headers["set-cookie"]).toMatch(new RegExp(`^${name}=; Max-Age=0`));
  });

  test("opens the pages, and after 12 hours no more", async () => {
    const dashboard = await openDashboard();
    const { get } = await signIn(dashboard);
    dashboard.clock.setWall(startMs + 12 * hour - 1);
    expect((await get("/dashboard")).status).toBe(200);
    dashboard.clock.setWall(startMs + 12 * hour);
    const answer = await get("/dashboard");
    expect(answer.status).toBe(401);
    expect(answer.text).toContain("The session has ended");
  });

  test("is worth nothing 5 s after its key was revoked", async () => {
    const dashboard = await openDashboard();
    const { get } = await signIn(dashboard);
    const { world, account, clock } = dashboard;
    expect((await get("/dashboard")).status).toBe(200);
    // Another key of the same name revokes the one before.
    const fingerprints = [hashApiKey("rb_another_key_0123456789")];
    await world.store.ensureKey({ id: newId("key", startMs), accountId: account.id, name: "test", fingerprints, nowMs: startMs });
    await clock.advance(5 * second);
    expect((await get("/dashboard")).status).toBe(401);
  });

  test.each([
    ["garbage", () => "garbage"],
    ["bytes of the right length", () => Buffer.alloc(200, 1).toString("base64url")],
    ["empty", () => ""],
    [
      "sealed for something else",
      ({ secretBox }: Awaited<ReturnType<typeof openDashboard>>) =>
        Buffer.from(secretBox.seal(JSON.stringify({ key, formToken: "a", expiresAtMs: startMs + day }), "key_1:answer")).toString(
          "base64url",
        ),
    ],
    [
      "changed in one bit",
      async (dashboard: Awaited<ReturnType<typeof openDashboard>>) => {
        const { cookie } = await signIn(dashboard);
        const bytes = Buffer.from(cookie.split("=")[1] ?? "", "base64url");
        bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
        return bytes.toString("base64url");
      },
    ],
  ])("that is %s is none", async (_name, made) => {
    const dashboard = await openDashboard();
    const answer = await dashboard.ask("/dashboard", { headers: { cookie: `ringback_session=${await made(dashboard)}` } });
    expect(answer.status).toBe(401);
    expect(dashboard.logged.filter(({ level }) => level === "error")).toEqual([]);
  });

  test("goes with the sign-out", async () => {
    const { submit } = await signIn(await openDashboard());
    const answer = await submit("/dashboard/sign-out");
    expect([answer.status, answer.headers["location"]]).toEqual([303, "/dashboard"]);
    expect(answer.headers["set-cookie"]).toMatch(/^ringback_session=; Max-Age=0; Path=\/dashboard/);
    // Nor is a page kept for Back.
    expect(answer.headers["clear-site-data"]).toBe('"cache"');
  });

  test("goes for every copy of its cookie, and for no other session of the key", async () => {
    const dashboard = await openDashboard();
    const [left, kept] = [await signIn(dashboard), await signIn(dashboard)];
    expect((await left.get("/dashboard")).status).toBe(200);
    await left.submit("/dashboard/sign-out");
    expect([(await left.get("/dashboard")).status, (await kept.get("/dashboard")).status]).toEqual([401, 200]);
  });
});

describe("a key in the request's headers", () => {
  test.each([["authorization", `Bearer ${key}`] as const, ["x-api-key", key] as const])(
    "%s opens a page and begins a session",
    async (name, value) => {
      const { ask } = await openDashboard();
      const answer = await ask("/dashboard/watches", { headers: { [name]: value } });
      expect(answer.status).toBe(200);
      expect((await ask("/dashboard", { headers: { cookie: cookieOf(answer) } })).status).toBe(200);
    },
  );

  test("that is wrong is said to be", async () => {
    const { ask } = await openDashboard();
    const answer = await ask("/dashboard", { headers: { "x-api-key": "rb_unknown_key_0123456789" } });
    expect(answer.status).toBe(401);
    expect(answer.text).toContain("This key is not valid");
  });

  test("sends no form", async () => {
    const { post } = await openDashboard();
    expect((await post("/dashboard/endpoints/ep_1/test", {}, { "x-api-key": key })).status).toBe(403);
  });
});

describe("wrong keys", () => {
  const wrong = { api_key: "rb_unknown_key_0123456789" };

  test("of one user do not count for the others of the same address, until there are a hundred", async () => {
    const { post } = await openDashboard();
    for (let index = 0; index < 30; index++) await post(signInPath, wrong);
    expect((await post(signInPath, wrong)).status).toBe(429);
    // Of those, ten counted for the address too.
    const others = [];
    for (let index = 0; index < 91; index++) others.push((await post(signInPath, { api_key: `rb_wrong_${index}` })).status);
    expect(others).toEqual([...Array.from({ length: 90 }, () => 401), 429]);
    expect((await post(signInPath, { api_key: "rb_wrong" }, { "x-forwarded-for": "203.0.113.9" })).status).toBe(401);
    expect((await post(signInPath, { api_key: key })).status).toBe(303);
  });

  test("are bounded by client and minute", async () => {
    const { post, clock } = await openDashboard();
    const statuses = [];
    for (let index = 0; index < 12; index++) statuses.push((await post(signInPath, wrong)).status);
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => 401), 429, 429]);
    const refused = await post(signInPath, wrong);
    expect([refused.status, refused.headers["retry-after"]]).toEqual([429, "60"]);
    expect(refused.text).toContain("Too many invalid keys");
    expect((await post(signInPath, wrong, { "x-forwarded-for": "203.0.113.9" })).status).toBe(401);
    await clock.advance(minute);
    expect((await post(signInPath, wrong)).status).toBe(401);
  });

  test("of another client behind the same proxy do not keep out a client with the right one", async () => {
    const { post } = await openDashboard();
    for (let index = 0; index < 30; index++) await post(signInPath, wrong);
    expect((await post(signInPath, { api_key: key })).status).toBe(303);
    expect((await post(signInPath, wrong)).status).toBe(429);
  });

  test("tried at once count each", async () => {
    const { post } = await openDashboard();
    const answers = await Promise.all(Array.from({ length: 30 }, () => post(signInPath, wrong)));
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(10);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(20);
  });

  test("are not what right ones are counted as", async () => {
    const { post } = await openDashboard();
    for (let index = 0; index < 25; index++) expect((await post(signInPath, { api_key: key })).status).toBe(303);
  });

  test("of the last 10,000 clients are remembered", () => {
    const failed = new FailedSignIns();
    const fail = (client: string) => failed.note(client, "wrong", 0);
    for (let index = 0; index < 10; index++) fail("first");
    expect(fail("first")).toBe(minute);
    for (let index = 1; index < 10_000; index++) fail(`client ${index}`);
    expect(fail("first")).toBe(minute);
    fail("one more");
    expect(fail("first")).toBeNull();
  });
});
