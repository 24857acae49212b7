import type { KeyObject } from "node:crypto";
import { LRUCache } from "lru-cache";
import { RingbackError } from "../../domain/errors.ts";
import { renderPayload } from "../../domain/events/payload.ts";
import { associatedData } from "../../domain/secrets/sealed-identity.ts";
import { hmacKeyOf, signWebhook, signingKeyOf } from "../../domain/webhooks/signature.ts";
import type { AccountStore } from "../../ports/stores/account-store.ts";
import type { SecretBox } from "../../ports/secret-box.ts";
import type { SealedSecret, SendJob, SendTarget } from "../../ports/stores/send-job.ts";

/** A signed request, without its deadline. */
export type ComposedWebhook =
  | { readonly kind: "webhook"; readonly url: string; readonly headers: Readonly<Record<string, string>>; readonly body: string }
  /** The configured encryption keys do not open the endpoint's secrets or headers. */
  | { readonly kind: "unreadable"; readonly detail: string };

export type WebhookComposerOptions = {
  readonly secretBox: SecretBox;
  readonly accounts: Pick<AccountStore, "getAccount">;
  readonly publicUrl: string | null;
  readonly version: string;
};

/** Given as a size, because a cache with a number of entries allocates all of them when it is made. */
const cacheEntries = 10_000;

/** Composes signed requests from jobs. Caches opened secrets as key objects, by the id of their associated data. */
export class WebhookComposer {
  readonly #options: WebhookComposerOptions;
  readonly #userAgent: string;
  readonly #hmacKeys = new LRUCache<string, KeyObject>({ maxSize: cacheEntries, sizeCalculation: () => 1 });
  readonly #signingKeys = new LRUCache<string, KeyObject>({ maxSize: cacheEntries, sizeCalculation: () => 1 });

  constructor(options: WebhookComposerOptions) {
    this.#options = options;
    this.#userAgent = `Ringback/${options.version}`;
  }

  /** Signs a job (Standard Webhooks); `nowMs` is wall time. Rejects if the account's key cannot be read from the store. */
  async compose(job: SendJob, nowMs: number): Promise<ComposedWebhook> {
    try {
      return await this.#compose(job, nowMs);
    } catch (error) {
      if (!(error instanceof RingbackError) || error.code !== "secret-unreadable") throw error;
      return { kind: "unreadable", detail: "the endpoint's secrets cannot be opened with the configured encryption keys" };
    }
  }

  async #compose(job: SendJob, nowMs: number): Promise<ComposedWebhook> {
    const { event, target } = job;
    const ed25519 = target.signatures.includes("v1a") ? await this.#signingKey(target.accountId) : null;
    const { body, headers } = renderPayload(event, target.format, this.#options.publicUrl);
    const timestampSeconds = Math.floor(nowMs / 1000);
    const signature = signWebhook({ id: event.id, timestampSeconds, body }, { hmac: this.#hmacKeysOf(target, nowMs), ed25519 });
    return {
      kind: "webhook",
      url: target.url,
      headers: {
        ...this.#customHeaders(target),
        ...headers,
        "user-agent": this.#userAgent,
        "webhook-id": event.id,
        "webhook-timestamp": String(timestampSeconds),
        "webhook-signature": signature,
      },
      body,
    };
  }

  #hmacKeysOf(target: SendTarget, nowMs: number): readonly KeyObject[] {
    const valid = target.secrets.filter((secret) => secret.validUntilMs === null || secret.validUntilMs > nowMs);
    return valid.map((secret) => this.#hmacKey(secret));
  }

  #hmacKey({ id, sealed }: SealedSecret): KeyObject {
    const known = this.#hmacKeys.get(id);
    if (known !== undefined) return known;
    const key = hmacKeyOf(this.#options.secretBox.open(sealed, associatedData("secret", id)));
    this.#hmacKeys.set(id, key);
    return key;
  }

  async #signingKey(accountId: string): Promise<KeyObject> {
    const known = this.#signingKeys.get(accountId);
    if (known !== undefined) return known;
    const account = await this.#options.accounts.getAccount(accountId);
    if (account === null) throw new Error(`no account ${accountId}`);
    const pem = this.#options.secretBox.open(account.sealedSigningKey, associatedData("signing_key", accountId));
    const key = signingKeyOf(pem);
    this.#signingKeys.set(accountId, key);
    return key;
  }

  #customHeaders(target: SendTarget): Readonly<Record<string, string>> {
    if (target.sealedHeaders === null) return {};
    return JSON.parse(this.#options.secretBox.open(target.sealedHeaders, associatedData("headers", target.id))) as Record<string, string>;
  }
}
