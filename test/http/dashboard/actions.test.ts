import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Answer, Send } from "../../harness/service/client.ts";
import { apiKey } from "../../harness/service/environment.ts";
import { startService } from "../../harness/service/service.ts";
import { linksOf, textOf } from "./page-text.ts";

const form = { "content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin" };

/** A receiver that answers with the status it is given, and counts. */
async function receiver(statusCode: number) {
  const state = { statusCode, webhooks: 0 };
  const server = createServer((request, response) => {
    request.resume();
    state.webhooks += 1;
    response.writeHead(state.statusCode).end("as given");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return Object.assign(state, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook` });
}

/** The whole service, with a session. */
async function signedIn(environment: Readonly<Record<string, string>> = {}) {
  const { send } = (await startService({ environment: { RETRY_SCHEDULE: "0s,1h,1h", ...environment } })).client;
  const begun = await send("POST", "/dashboard/sign-in", new URLSearchParams({ api_key: apiKey }).toString(), {
    ...form,
    authorization: "",
  });
  const cookie = String(begun.headers["set-cookie"]).split(";", 1)[0] ?? "";
  const browser = { cookie, authorization: "" };
  const get = (path: string) => send("GET", path, undefined, browser);
  const submit = async (path: string, fields: Readonly<Record<string, string>> = {}) => {
    const token = /name="token" value="([^"]+)"/.exec((await get("/dashboard/hooks")).text)?.[1] ?? "";
    return send("POST", path, new URLSearchParams({ token, ...fields }).toString(), { ...form, ...browser });
  };
  /** Submits a form and goes where it leads. */
  const carryOut = async (path: string, fields: Readonly<Record<string, string>> = {}) => {
    const answer = await submit(path, fields);
    expect([answer.status, answer.text]).toEqual([303, ""]);
    return get(String(answer.headers["location"]));
  };
  return { send, get, submit, carryOut };
}

async function watchOf(send: Send, callbackUrl: string, events: readonly string[] | null = ["terminal"]) {
  const body = { call_sid: "OUT-sandbox-slow-1", source: "sandbox", callback_url: callbackUrl, events };
  const { id, endpoint_id: endpointId } = (await send("POST", "/v1/watches", body)).body;
  return {
    watch: `/dashboard/watches/${String(id)}`,
    endpoint: `/dashboard/endpoints/${String(endpointId)}`,
    endpointId: String(endpointId),
  };
}

const deliveriesOf = async (send: Send, endpointId: string) =>
  (await send("GET", `/v1/deliveries?endpoint_id=${endpointId}`)).body["data"] as readonly Record<string, unknown>[];
const said = ({ text }: Answer) => textOf(text);

describe("a test webhook", () => {
  test("that arrives is said to have been delivered", async () => {
    const target = await receiver(200);
    const { send, carryOut } = await signedIn();
    const { endpoint } = await watchOf(send, target.url);
    expect(said(await carryOut(`${endpoint}/test`))).toMatch(/The test webhook was delivered\. .* endpoint\.test delivered/);
    expect(target.webhooks).toBe(1);
  });

  test("that does not leads to the answer it met", async () => {
    const target = await receiver(404);
    const { send, get, carryOut } = await signedIn();
    const { endpoint } = await watchOf(send, target.url);
    const page = await carryOut(`${endpoint}/test`);
    expect(said(page)).toContain("was sent but not delivered");
    const delivery = linksOf(page.text).find((link) => link.startsWith("/dashboard/deliveries/dlv_")) ?? "";
    const shown = said(await get(delivery));
    expect(shown).toMatch(/Automation tools answer 404 while a workflow is inactive\. .* answered 404 .* The answer began with: as given/);
  });

  test("comes once a second", async () => {
    const target = await receiver(200);
    const { send, submit } = await signedIn();
    const { endpoint } = await watchOf(send, target.url);
    const answers = await Promise.all([submit(`${endpoint}/test`), submit(`${endpoint}/test`)]);
    expect(answers.map(({ status }) => status).toSorted()).toEqual([303, 429]);
    const refused = answers.find(({ status }) => status === 429);
    expect(said(refused as Answer)).toContain("one test or retry a second and endpoint");
    expect(refused?.headers["retry-after"]).toBe("1");
    expect(refused?.text).toContain(`action="${endpoint}/test"`);
  });
});

test("an endpoint is paused and enabled, and what waited is sent", async () => {
  const target = await receiver(200);
  const { send, carryOut, submit } = await signedIn();
  const { endpoint, endpointId } = await watchOf(send, target.url, null);
  expect(said(await carryOut(`${endpoint}/state`, { state: "paused" }))).toMatch(/Paused: nothing is sent .* State paused by its owner/);
  expect((await send("GET", `/v1/endpoints/${endpointId}`)).body["state"]).toBe("paused");
  expect(said(await carryOut(`${endpoint}/state`, { state: "enabled" }))).toContain("Enabled: pending deliveries are sent now");
  expect((await send("GET", `/v1/endpoints/${endpointId}`)).body["state"]).toBe("enabled");
  await expect.poll(() => target.webhooks).toBeGreaterThan(0);
  expect(said(await carryOut(`${endpoint}/state`, { state: "disabled" }))).toContain("Disabled: nothing is sent.");
  expect((await send("GET", `/v1/endpoints/${endpointId}`)).body["state"]).toBe("disabled");
  for (const state of ["", "odd"]) expect((await submit(`${endpoint}/state`, { state })).status).toBe(422);
});

test("a delivery is tried once more, now", async () => {
  const target = await receiver(500);
  const { send, get, carryOut, submit } = await signedIn();
  const { endpointId } = await watchOf(send, target.url, null);
  await expect.poll(async () => (await deliveriesOf(send, endpointId)).at(-1)?.["attempt_count"]).toBe(1);
  const path = `/dashboard/deliveries/${String((await deliveriesOf(send, endpointId)).at(-1)?.["id"])}`;
  target.statusCode = 200;
  expect(said(await carryOut(`${path}/retry`))).toContain("One attempt is running now.");
  await expect.poll(async () => said(await get(path))).toContain("delivered after 2 attempts.");
  expect((await submit("/dashboard/deliveries/dlv_unknown/retry")).status).toBe(404);
});

test("exhausted deliveries of a span are requeued", async () => {
  const target = await receiver(500);
  const { send, carryOut, submit } = await signedIn({ RETRY_SCHEDULE: "0s" });
  const { endpoint, endpointId } = await watchOf(send, target.url, null);
  await expect.poll(async () => (await deliveriesOf(send, endpointId)).at(-1)?.["status"]).toBe("exhausted");
  target.statusCode = 200;
  expect(said(await carryOut(`${endpoint}/recover`, { since: "2020-01-01T00:00", until: "2020-01-02T00:00" }))).toContain(
    "so nothing was requeued",
  );
  expect(said(await carryOut(`${endpoint}/recover`, { since: "2020-01-01T00:00", until: "" }))).toContain("Requeued");
  await expect.poll(async () => (await deliveriesOf(send, endpointId)).at(-1)?.["status"]).toBe("delivered");
  const wrong: readonly Record<string, string>[] = [
    {},
    { since: "yesterday" },
    { since: "2020-13-01T00:00" },
    { since: "2020-02-30T00:00" },
    { since: "2020-01-02T00:00", until: "2020-01-01T00:00" },
    { since: "2020-01-02T00:00", until: "x" },
  ];
  for (const fields of wrong) expect((await submit(`${endpoint}/recover`, fields)).status).toBe(422);
});

test("a disabled endpoint is neither tested nor recovered", async () => {
  const target = await receiver(410);
  const { send, submit, get } = await signedIn();
  const { endpoint, endpointId } = await watchOf(send, target.url, null);
  await expect.poll(async () => (await send("GET", `/v1/endpoints/${endpointId}`)).body["state"]).toBe("disabled");
  expect(said(await get(endpoint))).toMatch(/State disabled it answered 410/);
  for (const action of ["test", "recover"]) {
    const answer = await submit(`${endpoint}/${action}`, { since: "2020-01-01T00:00" });
    expect([action, answer.status]).toEqual([action, 409]);
    expect(said(answer)).toContain("the endpoint is disabled: enable it first");
  }
});

test("a watch is deleted after a question, and erased only when that was asked for", async () => {
  const target = await receiver(200);
  const { send, get, carryOut, submit } = await signedIn();
  const { watch } = await watchOf(send, target.url);
  expect(linksOf((await get(watch)).text)).toContain(`${watch}/delete`);
  const question = await get(`${watch}/delete`);
  expect(said(question)).toMatch(/Delete this watch\?\s+OUT-sandbox-slow-1/);
  expect(question.text).toContain('<label for="purge">');
  expect(said(await carryOut(`${watch}/delete`))).toMatch(/The watch was deleted.* canceled deleted/);
  expect(said(await carryOut(`${watch}/delete`, { purge: "true" }))).toContain("The watch was erased with its events.");
  expect((await get(watch)).status).toBe(404);
  expect((await submit(`${watch}/delete`)).status).toBe(404);
});

test("a hook is removed after a question", async () => {
  const target = await receiver(200);
  const { send, get, carryOut, submit } = await signedIn();
  const { id } = (await send("POST", "/v1/hooks", { url: target.url })).body;
  const path = `/dashboard/hooks/${String(id)}/delete`;
  expect(said(await get(path))).toContain(`Remove the hook to ${target.url}?`);
  expect(said(await carryOut(path))).toMatch(/The hook was removed\. .* No hooks\./);
  expect((await send("GET", "/v1/hooks")).body["data"]).toEqual([]);
  expect((await submit(path)).status).toBe(404);
});

test("over a socket the peer is who is bounded", async () => {
  const { send } = (await startService()).client;
  const wrong = (forwardedFor: string) =>
    send("POST", "/dashboard/sign-in", "api_key=rb_unknown_key_0123456789", {
      ...form,
      authorization: "",
      "x-forwarded-for": forwardedFor,
    });
  for (let index = 0; index < 10; index++) expect((await wrong("203.0.113.1")).status).toBe(401);
  expect((await wrong("203.0.113.1")).status).toBe(429);
  expect((await wrong("203.0.113.1, 203.0.113.2")).status).toBe(401);
});
