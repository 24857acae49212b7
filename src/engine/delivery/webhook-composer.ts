import type { KeyObject } from "node:crypto";
import { LRUCache } from "lru-cache";
import { RingbackError } from "../../domain/errors.ts";
import { drawBytes } from "../../domain/secrets/random-bytes.ts";
import { associatedData } from "../../domain/secrets/sealed-identity.ts";
import type { CompiledTemplate, TemplateMethod } from "../../domain/webhooks/request-template.ts";
import { traceparentOf } from "../../domain/webhooks/trace-context.ts";
import { hmacKeyOf, signWebhook, signingKeyOf } from "../../domain/webhooks/signature.ts";
import { compileStored, renderContent } from "../../domain/webhooks/webhook-content.ts";
import type { Clock } from "../../ports/clock.ts";
import type { AccountStore } from "../../ports/stores/account-store.ts";
import type { SecretBox } from "../../ports/secret-box.ts";
import type { SealedSecret, SendJob, SendTarget } from "../../ports/stores/send-job.ts";

/** A signed request, without its deadline. `signedAtMs` (wall time) is the time of the attempt. */
export type ComposedWebhook = { readonly signedAtMs: number } & (
  | {
      readonly kind: "webhook";
      readonly url: string;
      readonly method: TemplateMethod;
      readonly headers: Readonly<Record<string, string>>;
      /** Values of the endpoint's own headers. */
      readonly secretValues: readonly string[];
      readonly body: string;
    }
  /** The configured encryption keys do not open the endpoint's secrets or headers. */
  | { readonly kind: "unreadable"; readonly detail: string }
);

export type WebhookComposerOptions = {
  readonly secretBox: SecretBox;
  readonly accounts: Pick<AccountStore, "getAccount">;
  readonly publicUrl: string | null;
  readonly version: string;
};

/** Given as a size, because a cache with a number of entries allocates all of them when it is made. */
const cacheEntries = 10_000;
/** Characters of the templates that are kept compiled. */
const cachedTemplateLength = 1_000_000;

/** Composes signed requests from jobs. Caches opened secrets as key objects, by the id of their associated data, and compiled templates by their text. */
export class WebhookComposer {
  readonly #options: WebhookComposerOptions;
  readonly #userAgent: string;
  readonly #hmacKeys = new LRUCache<string, KeyObject>({ maxSize: cacheEntries, sizeCalculation: () => 1 });
  readonly #signingKeys = new LRUCache<string, KeyObject>({ maxSize: cacheEntries, sizeCalculation: () => 1 });

  readonly #templates = new LRUCache<string, CompiledTemplate>({
    maxSize: cachedTemplateLength,
    sizeCalculation: (_, { length }) => length,
  });

  constructor(options: WebhookComposerOptions) {
    this.#options = options;
    this.#userAgent = `Ringback/${options.version}`;
  }

  /**
   * Signs a job (Standard Webhooks). The clock is read once nothing has to be waited for. Rejects if the account's key cannot
   * be read from the store.
   */
  async compose(job: SendJob, clock: Pick<Clock, "nowMs">): Promise<ComposedWebhook> {
    try {
      const { signatures, accountId } = job.target;
      const ed25519 = signatures.includes("v1a") ? await this.#signingKey(accountId) : null;
      return this.#sign(job, ed25519, clock.nowMs());
    } catch (error) {
      if (!(error instanceof RingbackError) || error.code !== "secret-unreadable") throw error;
      const detail = "the endpoint's secrets cannot be opened with the configured encryption keys";
      return { kind: "unreadable", signedAtMs: clock.nowMs(), detail };
    }
  }

  #sign({ event, target, trace }: SendJob, ed25519: KeyObject | null, nowMs: number): ComposedWebhook {
    const { method, body, headers } = renderContent(event, target, this.#options.publicUrl, (stored) => this.#compiled(stored));
    const timestampSeconds = Math.floor(nowMs / 1000);
    const signature = signWebhook({ id: event.id, timestampSeconds, body }, { hmac: this.#hmacKeysOf(target, nowMs), ed25519 });
    const own = this.#customHeaders(target);
    return {
      kind: "webhook",
      signedAtMs: nowMs,
      url: target.url,
      method,
      secretValues: Object.values(own),
      headers: {
        ...withTrace(own, trace),
        ...headers,
        "user-agent": this.#userAgent,
        "webhook-id": event.id,
        "webhook-timestamp": String(timestampSeconds),
        "webhook-signature": signature,
      },
      body,
    };
  }

  #compiled(stored: string): CompiledTemplate {
    const known = this.#templates.get(stored);
    if (known !== undefined) return known;
    const compiled = compileStored(stored);
    this.#templates.set(stored, compiled);
    return compiled;
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

const traceHeader = "traceparent";
const spanIdBytes = 8;

/** Adds a span of the attempt in the trace of the registration, unless the endpoint has a header of that name. */
function withTrace(headers: Readonly<Record<string, string>>, trace: string | null): Readonly<Record<string, string>> {
  if (trace === null || Object.keys(headers).some((name) => name.toLowerCase() === traceHeader)) return headers;
  return { ...headers, [traceHeader]: traceparentOf(trace, drawBytes(spanIdBytes)) };
}
