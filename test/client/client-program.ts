import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { startCallbacks } from "../harness/receivers/callbacks.ts";
import { apiKey, signingSecret } from "../harness/service/environment.ts";
import { startService } from "../harness/service/service.ts";

export const root = fileURLToPath(new URL("../..", import.meta.url));
export const source = join(root, "src/client");
/** The packages of the client, or the same versions of the test of generated clients. */
export const modules = [join(source, "node_modules"), join(root, "test/generated-clients/node_modules")].find((folder) =>
  existsSync(join(folder, "openapi-typescript")),
);
if (modules === undefined)
  process.stderr.write("NO packages of the client (cd src/client && npm ci --ignore-scripts): ITS TEST DOES NOT RUN\n");

export const program = `import { createRingbackClient, RingbackError, verifyWebhook, WebhookVerificationError } from "ringback-client";
import type { FeedEvent, VerifiedWebhook, WebhookEvent } from "ringback-client";

export const errors = { RingbackError, WebhookVerificationError };

/** Watches a call, and reads the feed until it ends. */
export async function walk(url: string, key: string, callbackUrl: string, secret: string) {
  const client = createRingbackClient({ url: url + "/", key });
  const body = { call_sid: "OUT-sandbox-success-1", source: "sandbox", callback_url: callbackUrl, signing_secret: secret };
  const { data: watch, error } = await client.POST("/v1/watches", { body });
  if (watch === undefined) throw new Error(error.detail);
  const feed = client.feed({ wait: 5, limit: 1 });
  const seen: FeedEvent[] = [];
  for await (const event of feed) {
    seen.push(event);
    // The type says what the data has.
    if (event.type === "call.success" && event.data.terminal) break;
  }
  const rest: FeedEvent[] = [];
  for await (const event of client.feed({ after: feed.cursor ?? "", wait: 0 })) rest.push(event);
  const all: FeedEvent[] = [];
  for await (const event of client.feed({ wait: 0 })) all.push(event);
  return { id: watch.id, types: seen.map(({ type }) => type), rest: rest.length, all: all.map(({ id }) => id), ids: seen.map(({ id }) => id) };
}

export function verify(body: string, headers: Record<string, string>, secrets: string | string[]): Promise<VerifiedWebhook<WebhookEvent>> {
  return verifyWebhook(body, headers, secrets);
}

export async function refused(url: string, key: string, after: string): Promise<void> {
  for await (const _ of createRingbackClient({ url, key }).feed({ after, wait: 0 }));
}

// @ts-expect-error A path that the service has not.
export const wrongPath = (url: string) => createRingbackClient({ url, key: "" }).GET("/v1/nothing");
`;

export type Program = {
  readonly errors: Readonly<Record<string, new (...args: never) => Error>>;
  walk(
    url: string,
    key: string,
    callbackUrl: string,
    secret: string,
  ): Promise<Record<string, unknown> & { readonly types: readonly string[] }>;
  verify(
    body: string,
    headers: Readonly<Record<string, string>>,
    secrets: string | readonly string[],
  ): Promise<{ readonly id: string; readonly payload: unknown }>;
  refused(url: string, key: string, after: string): Promise<void>;
};

/** Uses the client against a service: a watch, the feed, a webhook, and what is refused. */
export async function expectWorks(installed: Promise<Program>): Promise<void> {
  const [client, service, receiver] = await Promise.all([installed, startService(), startCallbacks()]);
  const walked = await client.walk(service.url, apiKey, receiver.url(), signingSecret);
  expect(walked.types).toEqual(["call.queued", "call.calling", "call.success"]);
  expect(walked).toMatchObject({ rest: 0, all: walked["ids"] });

  await receiver.arrived(1);
  const [webhook] = receiver.received;
  if (webhook === undefined) throw new Error("no webhook");
  const { body, headers } = webhook;
  const wrong = "whsec_c2VjcmV0LW9mLXNvbWVib2R5LWVsc2UtaGVyZQ==";
  expect(await client.verify(body, headers, [wrong, signingSecret])).toMatchObject({
    id: headers["webhook-id"],
    payload: JSON.parse(body) as object,
  });
  const refusals: readonly (readonly [string, Readonly<Record<string, string>>, string, string])[] = [
    [body, headers, wrong, "bad_signature"],
    [`${body} `, headers, signingSecret, "bad_signature"],
    [body, { ...headers, "webhook-timestamp": "1" }, signingSecret, "too_old"],
    [body, { ...headers, "webhook-timestamp": "99999999999" }, signingSecret, "too_new"],
    [body, { ...headers, "webhook-signature": "" }, signingSecret, "missing_header"],
    [body, headers, "secret", "bad_secret"],
  ];
  for (const [given, under, secret, fault] of refusals) await expect(client.verify(given, under, secret)).rejects.toMatchObject({ fault });

  const endpoint = (await service.client.get("/v1/endpoints")).body as { readonly data: readonly { readonly id: string }[] };
  const path = `/v1/endpoints/${endpoint.data[0]?.id ?? ""}`;
  await service.client.patch(path, { signatures: ["v1", "v1a"] });
  const before = receiver.received.length;
  await service.client.post(`${path}/test`);
  await receiver.arrived(before + 1);
  const tested = receiver.received.at(-1);
  const { public_key: publicKey } = (await service.client.get("/v1/me")).body as { readonly public_key: string };
  expect(await client.verify(tested?.body ?? "", tested?.headers ?? {}, publicKey)).toMatchObject({ payload: { type: "endpoint.test" } });

  await expect(client.refused(service.url, "no-such-key-no-such-key", "")).rejects.toMatchObject({
    name: "RingbackError",
    status: 401,
    slug: "unauthorized",
  });
  await expect(client.refused(service.url, apiKey, "nothing")).rejects.toMatchObject({ name: "RingbackError", status: 422 });
}
