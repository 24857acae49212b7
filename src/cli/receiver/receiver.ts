import { messageOf } from "../../domain/error-text.ts";
import { EventEmitter, on } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Webhook } from "standardwebhooks";
import { LocalServer, readBody } from "../../simulator/local-server.ts";
import type { LocalAddress } from "../../simulator/local-server.ts";

/** Scripted answer to a webhook. A number is a status with an empty body. */
export type ScriptedAnswer =
  | number
  | { readonly statusCode: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string; readonly delayMs?: number }
  /** Resets the connection instead of answering. */
  | "reset"
  /** Never answers. */
  | "hang";

export type Verification =
  | { readonly kind: "verified" }
  /** `detail` is the message of the official library. */
  | { readonly kind: "refused"; readonly detail: string }
  /** The receiver has no secret. */
  | { readonly kind: "unchecked" };

export type Delivery = {
  /** Wall time in epoch milliseconds. */
  readonly receivedAtMs: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Body as received, byte for byte. */
  readonly body: Buffer;
  /** Value of `webhook-id`; "" if absent. */
  readonly webhookId: string;
  /** Number of times this webhook has arrived at this path, including this one. */
  readonly attempt: number;
  readonly verification: Verification;
};

export type ReceiverOptions = LocalAddress & {
  /** Secrets (`whsec_…`), one of which must match. */
  readonly secrets?: readonly string[];
  /**
   * Answers in order of arrival, or a function that answers each webhook. After the end of the list, and for `null`, the
   * answer is 204 if the webhook is verified or unchecked, else 401.
   */
  readonly answers?: readonly ScriptedAnswer[] | ((delivery: Delivery) => ScriptedAnswer | null);
  /** Called before the answer is sent. */
  readonly onDelivery?: (delivery: Delivery) => void;
};

const maxRememberedIds = 100_000;

/** Listens for webhooks and verifies them with the official Standard Webhooks library. */
export async function startReceiver(options: ReceiverOptions = {}): Promise<Receiver> {
  const receiver = new Receiver(options);
  await receiver.listen(options);
  return receiver;
}

export class Receiver extends LocalServer {
  readonly #options: ReceiverOptions;
  readonly #webhooks: readonly Webhook[];
  readonly #arrivals = new EventEmitter();
  readonly #attemptsById = new Map<string, number>();
  #scripted = 0;

  /** Throws if a secret is malformed. */
  constructor(options: ReceiverOptions) {
    super();
    this.#options = options;
    this.#webhooks = (options.secrets ?? []).map((secret) => new Webhook(secret));
  }

  /** Yields webhooks from this call on, until the receiver is closed. Unread webhooks are buffered until the loop ends. */
  deliveries(): AsyncGenerator<Delivery, void, undefined> {
    const arrivals = on(this.#arrivals, "delivery", { close: ["close"] }) as AsyncIterable<[Delivery]>;
    return (async function* () {
      for await (const [delivery] of arrivals) yield delivery;
    })();
  }

  /** Closes every connection and ends the iterators. */
  override close(): Promise<void> {
    this.#arrivals.emit("close");
    return super.close();
  }

  protected override async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const receivedAtMs = Date.now();
    const body = await readBody(request);
    if (body === null || request.method !== "POST") {
      response.writeHead(body === null ? 413 : 405, { connection: "close" }).end();
      return;
    }
    const path = request.url ?? "/";
    const headers = request.headers as Readonly<Record<string, string>>;
    const webhookId = headers["webhook-id"] ?? "";
    const attempt = this.#countAttempt(`${path}\n${webhookId}`);
    const delivery = { receivedAtMs, path, headers, body, webhookId, attempt, verification: this.#verify(body, headers) };
    this.#options.onDelivery?.(delivery);
    this.#arrivals.emit("delivery", delivery);
    send(response, this.#answerTo(delivery));
  }

  #verify(body: Buffer, headers: Readonly<Record<string, string>>): Verification {
    let detail: string | null = null;
    for (const webhook of this.#webhooks) {
      try {
        // Not every format is JSON, so the library must not parse the body.
        webhook.verify(body, headers, { jsonParse: false });
        return { kind: "verified" };
      } catch (error) {
        detail = messageOf(error);
      }
    }
    return detail === null ? { kind: "unchecked" } : { kind: "refused", detail };
  }

  #answerTo(delivery: Delivery): ScriptedAnswer {
    const { answers } = this.#options;
    const scripted = typeof answers === "function" ? answers(delivery) : (answers?.[this.#scripted++] ?? null);
    return scripted ?? (delivery.verification.kind === "refused" ? 401 : 204);
  }

  #countAttempt(key: string): number {
    const attempt = (this.#attemptsById.get(key) ?? 0) + 1;
    this.#attemptsById.set(key, attempt);
    if (this.#attemptsById.size > maxRememberedIds) this.#attemptsById.delete(this.#attemptsById.keys().next().value ?? "");
    return attempt;
  }
}

function send(response: ServerResponse, scripted: ScriptedAnswer): void {
  if (scripted === "hang") return;
  if (scripted === "reset") {
    response.socket?.resetAndDestroy();
    return;
  }
  const { statusCode, headers = {}, body = "", delayMs = 0 } = typeof scripted === "number" ? { statusCode: scripted } : scripted;
  const sendNow = () => response.writeHead(statusCode, headers).end(body);
  if (delayMs <= 0) return void sendNow();
  const timer = setTimeout(sendNow, delayMs);
  response.once("close", () => clearTimeout(timer));
}
