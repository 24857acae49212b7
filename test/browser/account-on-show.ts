import { expect } from "vitest";
import { startCallbacks } from "../harness/receivers/callbacks.ts";
import type { Json } from "../harness/service/client.ts";
import { apiKey } from "../harness/service/environment.ts";
import { startService } from "../harness/service/service.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";
import { startPlacingUpstream } from "./placing-upstream.ts";
import { Visitor } from "./visitor.ts";

export const arrivedSid = "OUT-arrived";
/** As long as one can be, with no place to break it. */
export const givenUpSid = `OUT-given_up_${"0".repeat(119)}`;

/** Texts that try to change a page; the last mark reverses the text behind it. */
export const hostileWords = `"><script>alert(1)</script><img src=x onerror=alert(1)>' onmouseover='alert(1)' &lt;b&gt; \u2066\u202e`;

/**
 * The whole service with an account that has something of everything: a call whose webhooks arrived, at its callback URL
 * and at a hook, and one whose only webhook was given up. `words` is what strangers say wherever they are shown: as a
 * call's status and reason, as metadata, in a URL, in a receiver's answer.
 */
export async function accountOnShow(words = "as given") {
  const upstream = await simulatedUpstream();
  const failing = { status: 500 };
  const [good, bad] = [await startCallbacks(), await startCallbacks(() => ({ status: failing.status, body: words }))];
  const placing = await startPlacingUpstream(upstream.url, () => upstream.trigger({ scenario: "slow" }));
  const service = await startService({
    database: "sqlite-file",
    environment: {
      ...upstream.environment("polyai-legacy"),
      POLYAI_BASE_URL: placing.url,
      RINGBACK_MAY_PLACE: "true",
      RETRY_SCHEDULE: "0s",
      API_MAX_PER_SECOND: "0",
    },
  });
  const { client, url } = service;
  const post = async (path: string, body: Json) => {
    const answer = await client.post(path, body);
    expect([answer.status, answer.text]).toEqual([201, answer.text]);
    return answer.body;
  };
  const read = async (path: string) => (await client.get(path)).body;

  // A URL holds no white space.
  const path = `/${words.replaceAll(/\s/g, "")}`;
  const hook = await post("/v1/hooks", { url: good.url(`/all${path}`) });
  upstream.trigger({ scenario: "instant" }, arrivedSid);
  upstream.trigger({ scenario: [{ atMs: 0, status: words, reason: words }], verbatim: true }, givenUpSid);
  const metadata = { said: words };
  await post("/v1/watches", { call_sid: arrivedSid, callback_url: good.url(path), metadata });
  const givenUp = await post("/v1/watches", {
    call_sid: givenUpSid,
    callback_url: bad.url(path),
    headers: { "x-'&`": "never shown" },
    metadata,
  });
  await expect
    .poll(async () => (await client.list("/v1/deliveries")).map(({ status }) => status).toSorted(), { timeout: 10_000 })
    .toEqual(["delivered", "delivered", "delivered", "exhausted"]);
  placing.lose(true);
  const call = { call: { to_number: "+441234567890" }, callback_url: null, metadata };
  expect((await client.post("/v1/calls", call, { "idempotency-key": "may-ring" })).status).toBe(502);
  placing.lose(false);
  await post("/v1/keys", { name: "crm" });
  await post("/v1/portal-links", { can: "look" });
  const [lost = {}] = await client.list(`/v1/deliveries?watch_id=${String(givenUp["id"])}&status=exhausted`);
  return {
    url,
    client,
    read,
    placing,
    /** With a key of the operator, at the view of the whole service. */
    signInAsOperator: async () => {
      const { key } = await service.command<{ key: string }>(["key", "create", "--operator"]);
      return Visitor.signedIn(url, key);
    },
    signIn: () => Visitor.signedIn(url, apiKey),
    /** What came in where webhooks are refused. */
    received: bad.received,
    /** From now on the receiver that refused takes what it is sent. */
    repair: () => void (failing.status = 200),
    givenUp: {
      id: String(givenUp["id"]),
      endpointId: String(givenUp["endpoint_id"]),
      deliveryId: String(lost["id"]),
    },
    hookId: String(hook["id"]),
  };
}
