import createClient from "openapi-fetch";
import type { Client } from "openapi-fetch";
import { readFeed } from "./feed.js";
import type { Feed, FeedOptions } from "./feed.js";
import type { paths } from "./schema.js";

export { RingbackError } from "./errors.js";
export type { WebhookEvent } from "./events.js";
export type { Feed, FeedEvent, FeedOptions } from "./feed.js";
export type { components, operations, paths } from "./schema.js";
export { verifyWebhook, WebhookVerificationError } from "./verify-webhook.js";
export type { VerifiedWebhook, WebhookFault, WebhookHeaders } from "./verify-webhook.js";

export type RingbackClientOptions = {
  /** Address of the service, `https://ringback.example`. */
  readonly url: string;
  /** API key. */
  readonly key: string;
  /** Replaces the `fetch` of the platform. */
  readonly fetch?: (request: Request) => Promise<Response>;
};

/** Typed requests (`client.POST("/v1/watches", { body })`, see openapi-fetch) and the feed. */
export type RingbackClient = Client<paths> & {
  /** Reads the feed of the account, oldest first: an async iterable of events. */
  readonly feed: (options?: FeedOptions) => Feed;
};

/** Creates a client of a service. */
export function createRingbackClient({ url, key, fetch }: RingbackClientOptions): RingbackClient {
  const client = createClient<paths>({
    baseUrl: url.replace(/\/+$/, ""),
    headers: { authorization: `Bearer ${key}` },
    ...(fetch === undefined ? {} : { fetch }),
  });
  return Object.assign(client, { feed: (options: FeedOptions = {}) => readFeed(client, options) });
}
