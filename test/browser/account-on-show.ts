import { expect } from "vitest";
import { startCallbacks } from "../harness/receivers/callbacks.ts";
import type { Json } from "../harness/service/client.ts";
import { apiKey } from "../harness/service/environment.ts";
import { startService } from "../harness/service/service.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";
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
  const { client, url } = await startService({
    environment: { ...upstream.environment("polyai-legacy"), RETRY_SCHEDULE: "0s", API_MAX_PER_SECOND: "0" },
  });
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
  const [lost = {}] = await client.list(`/v1/deliveries?watch_id=${String(givenUp["id"])}&status=exhausted`);
  return {
    url,
    client,
    read,
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
