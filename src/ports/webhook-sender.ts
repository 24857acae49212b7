import type { AttemptOutcome } from "../domain/deliveries/attempt.ts";
import type { NotStarted } from "./not-started.ts";

export type WebhookRequest = {
  /** As the WHATWG parser wrote it, without fragment. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Sent byte for byte as UTF-8: the signature covers it. */
  readonly body: string;
  /** For the whole exchange: connect, TLS, head and body. */
  readonly timeoutMs: number;
  /** On whose behalf: one account's slow name servers hold up nobody else. */
  readonly accountId?: string;
};

export type WebhookExchange = {
  /** `not_started`: no attempt was made. */
  readonly outcome: AttemptOutcome | NotStarted;
  readonly durationMs: number;
};

/** Sends one webhook. Never throws for what a receiver or the network does, never follows a redirect, reads at most 64 KiB of the answer. */
export interface WebhookSender {
  send(request: WebhookRequest): Promise<WebhookExchange>;
  /** Aborts what is on the wire and releases every socket and timer. */
  close(): Promise<void>;
}

/** The place where the address guard sits: what may be dialled, at registration and at connect time. */
export interface AddressGuard {
  /** Syntax, port, name and literal address; no network. null: fine. */
  checkUrl(url: URL): { readonly reason: string } | null;
  /**
   * Resolves a name that is new to the process within 1 s and refuses only a forbidden answer; `null` if it is fine or no
   * answer came. The look-up takes the account's turn, so that one with slow name servers holds up no other.
   */
  checkName(url: URL, accountId?: string): Promise<{ readonly reason: string } | null>;
}
