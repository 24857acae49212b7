import { expect, test } from "vitest";
import type { Answer, Client } from "../../harness/service/client.ts";
import { apiKey } from "../../harness/service/environment.ts";
import { startService } from "../../harness/service/service.ts";
import { textOf } from "./page-text.ts";

const form = { "content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin", authorization: "" };
const formsIn = (text: string) =>
  [...text.matchAll(/<form method="post" action="([^"]+)"/g)]
    .map(([, action]) => action)
    .filter((action) => !action?.endsWith("/sign-out"));
const valueOf = (text: string, name: string) => new RegExp(`name="${name}" value="([^"]+)"`).exec(text)?.[1] ?? "";

/** A browser signed in with a key, at the list of watches. */
async function signIn({ send }: Client, key = apiKey) {
  const begun = await send("POST", "/dashboard/sign-in", new URLSearchParams({ api_key: key }).toString(), form);
  const browser = { cookie: String(begun.headers["set-cookie"]).split(";", 1)[0] ?? "", authorization: "" };
  const get = (path: string) => send("GET", path, undefined, browser);
  const { text } = await get("/dashboard/calls");
  const submit = (path: string, fields: Readonly<Record<string, string>>) =>
    send("POST", path, new URLSearchParams({ token: valueOf(text, "token"), ...fields }).toString(), { ...form, ...browser });
  /** Page that a form leads to. */
  const follow = async (answer: Answer) => {
    expect([answer.status, answer.text]).toEqual([303, ""]);
    return textOf((await get(String(answer.headers["location"]))).text);
  };
  return { text, get, submit, follow, placingKey: valueOf(text, "idempotency_key") };
}

test("a sandbox call is placed and a watch is registered by a form, once", async () => {
  const { client } = await startService();
  const { submit, follow, placingKey, get } = await signIn(client);
  expect(valueOf((await get("/dashboard/calls")).text, "idempotency_key")).not.toBe(placingKey);

  const call = { idempotency_key: placingKey, scenario: "failure", callback_url: "" };
  const clicks = await Promise.all([submit("/dashboard/calls", call), submit("/dashboard/calls", call)]);
  expect(clicks.map(({ status }) => status)).toEqual([303, 303]);
  const placed = clicks.find(({ headers }) => String(headers["location"]).includes("/watches/wch_"));
  expect(await follow(placed as Answer)).toMatch(/OUT-sandbox-failure-.* The call was placed and is watched\./);
  expect(await follow(await submit("/dashboard/calls", call))).toMatch(/OUT-sandbox-failure-.* The call was placed/);
  expect(await client.list("/v1/placings")).toMatchObject([{ source: "sandbox", state: "placed", idempotency_key: placingKey }]);
  expect(await client.list("/v1/audit?action=call.placed")).toMatchObject([{ actor: { kind: "dashboard", name: "environment" } }]);

  // What the form is refused with, above itself and with what was typed.
  for (const [fields, status, detail] of [
    [{ ...call, scenario: "slow" }, 422, "was used with another body"],
    [{ ...call, idempotency_key: "" }, 422, "is required, so that no repeat places a second call"],
    [{ ...call, idempotency_key: `${placingKey.slice(0, -1)}x` }, 422, "is required"],
    [{ ...call, idempotency_key: placingKey.replace(/.$/, (last) => (last === "0" ? "1" : "0")), scenario: "odd" }, 422, "/call/scenario"],
  ] as const) {
    const answer = await submit("/dashboard/calls", fields);
    expect([answer.status, textOf(answer.text)]).toEqual([status, expect.stringContaining(detail)]);
    expect(formsIn(answer.text)).toEqual(["/dashboard/calls"]);
    expect(valueOf(answer.text, "idempotency_key")).not.toBe(placingKey);
  }
  expect(await client.list("/v1/placings")).toHaveLength(1);

  const watch = {
    call_sid: " OUT-sandbox-slow-1 ",
    source: "sandbox",
    callback_url: "http://127.0.0.1:9/calls",
    metadata: "lead_id=00Q5g000\r\n\r\n note = a=b \r\n",
  };
  expect(await follow(await submit("/dashboard/watches", watch))).toMatch(
    /OUT-sandbox-slow-1 The call is watched\. The signing secret .* is not shown here/,
  );
  expect(await follow(await submit("/dashboard/watches", watch))).toContain("This watch existed before");
  expect(await follow(await submit("/dashboard/watches", { ...watch, callback_url: "" }))).toContain(
    "OUT-sandbox-slow-1 The call is watched.",
  );
  expect(await client.list("/v1/watches?call_sid=OUT-sandbox-slow-1")).toMatchObject([
    { callback_url: null },
    { callback_url: watch.callback_url, source: "sandbox", metadata: { lead_id: "00Q5g000", note: "a=b" } },
  ]);
  for (const [fields, detail] of [
    [{ ...watch, call_sid: " " }, "/call_sid: is required"],
    [{ ...watch, source: "default" }, "/source: must be &quot;sandbox&quot; for a sandbox SID"],
    [{ ...watch, source: "unknown" }, "/source"],
    [{ ...watch, callback_url: "nowhere" }, "/callback_url"],
    [{ ...watch, metadata: "lead_id" }, "metadata: must have one pair a line"],
    [{ ...watch, metadata: "a=1\na=2" }, "metadata: has a key more than once"],
    [{ ...watch, metadata: "__proto__=1" }, "/metadata/__proto__: cannot be a key"],
    [{ ...watch, metadata: "=1" }, "/metadata/"],
  ] as const) {
    const { status, text } = await submit("/dashboard/watches", fields);
    expect([fields, status, text]).toEqual([fields, 422, expect.stringContaining(detail)]);
    expect(formsIn(text)).toEqual(["/dashboard/watches"]);
    // What was typed is still there, and the fault stands beside its field.
    const field = detail.startsWith("/") ? detail.split(/[/:]/)[1] : "metadata";
    expect(text).toMatch(new RegExp(`name="${field}"[^>]*aria-describedby="${field}_fault"[^>]*aria-invalid="true"`));
    expect(text).toMatch(
      new RegExp(`<textarea[^>]*name="metadata"[^>]*>\\n?${fields.metadata.replaceAll("\r\n", "\r?\n").replaceAll("__", "__")}</textarea>`),
    );
  }
  expect(await client.list("/v1/watches?call_sid=OUT-sandbox-slow-1")).toHaveLength(2);

  // Each form needs its scope.
  for (const [scope, forms] of [
    ["read", []],
    ["endpoints", []],
    ["watch", ["/dashboard/watches"]],
    ["place", ["/dashboard/calls"]],
  ] as const) {
    const { key } = (await client.post("/v1/keys", { name: scope, scopes: [scope] })).body;
    const visitor = await signIn(client, String(key));
    const shown = [...formsIn((await visitor.get("/dashboard/watches/new")).text), ...formsIn(visitor.text)];
    expect([scope, shown]).toEqual([scope, forms]);
    for (const path of ["/dashboard/watches", "/dashboard/calls"].filter((path) => !forms.includes(path as never)))
      expect([scope, path, (await visitor.submit(path, watch)).status]).toEqual([scope, path, 403]);
  }
  expect(await client.list("/v1/placings")).toHaveLength(1);
});
