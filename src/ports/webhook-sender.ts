import type { AttemptOutcome } from "../domain/deliveries/attempt.ts";
import type { TemplateMethod } from "../domain/webhooks/request-template.ts";
import type { NotStarted } from "./not-started.ts";

export type WebhookRequest = {
  readonly method: TemplateMethod;
  /** URL as serialised by the WHATWG URL parser, without fragment. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Values among the headers that are secret. No outcome repeats them, also if the answer does. */
  readonly secretValues?: readonly string[];
  /** Body. It is sent byte for byte as UTF-8, because the signature covers it. */
  readonly body: string;
  /** Deadline of the whole exchange: connect, TLS, head and body. */
  readonly timeoutMs: number;
  /** Account of the webhook, so that its slow name servers delay no other account. */
  readonly accountId?: string;
};

export type WebhookExchange = {
  /** `not_started`: no attempt was made. */
  readonly outcome: AttemptOutcome | NotStarted;
  readonly durationMs: number;
};

/** Sends webhooks. Never follows a redirect and reads at most 64 KiB of the answer. */
export interface WebhookSender {
  /** Resolves with the outcome, also if the receiver or the network fails. */
  send(request: WebhookRequest): Promise<WebhookExchange>;
  /** Aborts exchanges in flight and releases every socket and timer. */
  close(): Promise<void>;
}

/** Guard against server-side request forgery: decides which addresses may be dialled, at registration and at connect time. */
export interface AddressGuard {
  /** Checks port, name and literal address without the network; `null` if they are allowed. */
  checkUrl(url: URL): { readonly reason: string } | null;
  /**
   * Resolves a name that is new to the process, within 1 s. `null` if no address is forbidden, or if no answer arrives. The
   * look-up takes a turn of the account, so that slow name servers of one account delay no other.
   */
  checkName(url: URL, accountId?: string): Promise<{ readonly reason: string } | null>;
}
