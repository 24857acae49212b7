import type { AttemptOutcome, NotStarted, WebhookExchange, WebhookRequest, WebhookSender } from "./engine-adapter.ts";
import { Random } from "./random.ts";
import type { Lifetime, Scheduler } from "./scheduler.ts";

/** How a receiver answers while an episode lasts. */
export type ReceiverTrouble =
  | "timeout"
  | "reset_before"
  | "reset_amid"
  | "reset_after"
  | "not_found"
  | "bad_request"
  | "server_error"
  | "redirect"
  | "gone"
  | "rate_limited"
  | "rate_limited_for"
  | "rate_limited_until"
  | "unavailable"
  | "unavailable_for"
  | "bad_gateway"
  | "dns"
  | "connect"
  | "tls"
  | "blocked"
  | "slow"
  | "odd_retry_after"
  /** Trouble of our own: nothing leaves the process, and nothing is spent. */
  | "not_started";

export type ReceiverEpisode = {
  /** A URL, or the beginning of one: a host. */
  readonly where: string;
  readonly trouble: ReceiverTrouble;
  readonly forMs: number;
  readonly share: number;
  /** Of a `Retry-After`. */
  readonly seconds: number;
};

/** One try as it went over the wire. */
export type Exchange = {
  readonly number: number;
  readonly request: WebhookRequest;
  readonly lifetime: Lifetime;
  readonly startedAtMs: number;
  readonly startedWallMs: number;
  /** The receiver had it. */
  hasArrived: boolean;
  /** When the sender heard what came of it; null: never, for the process is gone. */
  endedAtMs: number | null;
  outcome: AttemptOutcome | NotStarted | null;
  /** Whether a stopping process aborted it, so that its outcome was not recorded. */
  isAborted: boolean;
  /** Whether the receiver sent a complete 2xx, even if the sender did not receive it. */
  isTaken: boolean;
  /** How long the receiver asks to wait; null: it does not. */
  retryAfterMs: number | null;
};

type Plan = {
  readonly latencyMs: number;
  readonly arrives: boolean;
  readonly outcome: AttemptOutcome | NotStarted;
  readonly isTaken: boolean;
  readonly retryAfterMs: number | null;
};

/** Every receiver, behind the port of the sender. */
export class Receivers {
  readonly #seed: number;
  readonly #scheduler: Scheduler;
  readonly #onStart: (exchange: Exchange) => void;
  readonly #onEnd: (exchange: Exchange) => void;
  readonly #counts = new Map<string, number>();
  #episodes: (ReceiverEpisode & { readonly untilMs: number })[] = [];
  #count = 0;

  constructor(
    seed: number,
    scheduler: Scheduler,
    observer: { readonly onStart: (exchange: Exchange) => void; readonly onEnd: (exchange: Exchange) => void },
  ) {
    this.#seed = seed;
    this.#scheduler = scheduler;
    this.#onStart = observer.onStart;
    this.#onEnd = observer.onEnd;
  }

  trouble(episode: ReceiverEpisode): void {
    this.#episodes.push({ ...episode, untilMs: this.#scheduler.nowMs + episode.forMs });
  }

  /** From now on every one takes everything. */
  heal(): void {
    this.#episodes = [];
  }

  /** The port for one process; what is on the wire when that is gone may still arrive. */
  senderFor(lifetime: Lifetime): WebhookSender {
    const open = new Map<(exchange: WebhookExchange) => void, Exchange>();
    let isClosed = false;
    return {
      send: (request) =>
        new Promise<WebhookExchange>((resolve) => {
          if (isClosed) return resolve(failed("reset", "the sender is closed"));
          this.#send(request, lifetime, resolve, open);
          return undefined;
        }),
      close: () => {
        isClosed = true;
        for (const [resolve, exchange] of open) {
          exchange.isAborted = true;
          resolve(failed("reset", "aborted"));
        }
        open.clear();
        return Promise.resolve();
      },
    };
  }

  #send(
    request: WebhookRequest,
    lifetime: Lifetime,
    settle: (exchange: WebhookExchange) => void,
    open: Map<(exchange: WebhookExchange) => void, Exchange>,
  ): void {
    const scheduler = this.#scheduler;
    const count = (this.#counts.get(request.url) ?? 0) + 1;
    this.#counts.set(request.url, count);
    const random = new Random(this.#seed, "receiver", request.url, count);
    const exchange: Exchange = {
      number: ++this.#count,
      request,
      lifetime,
      startedAtMs: scheduler.nowMs,
      startedWallMs: scheduler.wallMs,
      hasArrived: false,
      endedAtMs: null,
      outcome: null,
      isTaken: false,
      isAborted: false,
      retryAfterMs: null,
    };
    open.set(settle, exchange);
    this.#onStart(exchange);
    const planned = this.#plan(request, random);
    // The sender aborts at the deadline of the whole exchange.
    const isCut = planned.latencyMs >= request.timeoutMs;
    const outcome: AttemptOutcome | NotStarted = isCut
      ? { kind: "failed", code: "timeout", detail: `no complete answer within ${request.timeoutMs} ms`, statusCode: null, permanent: false }
      : planned.outcome;
    const endAfterMs = Math.min(planned.latencyMs, request.timeoutMs);
    const arriveAfterMs = Math.floor(planned.latencyMs / 2);
    // What left the socket arrives though its sender may be gone by then; half of the time it was lost with it.
    const survives = random.chance(0.5);
    scheduler.schedule(arriveAfterMs, () => {
      if (!planned.arrives || (lifetime.isOver && !survives)) return;
      exchange.hasArrived = true;
      exchange.isTaken = planned.isTaken;
    });
    scheduler.schedule(
      endAfterMs,
      () => {
        if (!open.delete(settle)) return;
        exchange.endedAtMs = scheduler.nowMs;
        exchange.outcome = outcome;
        exchange.retryAfterMs = isCut ? null : planned.retryAfterMs;
        // The arrival may be scheduled for the same instant, and run later.
        if (!isCut && planned.arrives) exchange.hasArrived = true;
        exchange.isTaken = !isCut && planned.isTaken;
        this.#onEnd(exchange);
        settle({ outcome, durationMs: endAfterMs });
      },
      lifetime,
    );
  }

  #plan(request: WebhookRequest, random: Random): Plan {
    const nowMs = this.#scheduler.nowMs;
    this.#episodes = this.#episodes.filter(({ untilMs }) => untilMs > nowMs);
    const episode = this.#episodes.find(({ where, share }) => request.url.startsWith(where) && random.chance(share));
    const latencyMs = random.latencyMs(30, 1500);
    if (episode === undefined) return answered(latencyMs, random.pick([200, 200, 201, 204]));
    return this.#troubled(episode, request, random, latencyMs);
  }

  #troubled({ trouble, seconds }: ReceiverEpisode, request: WebhookRequest, random: Random, latencyMs: number): Plan {
    const broken = (
      code: Extract<AttemptOutcome, { kind: "failed" }>["code"],
      arrives: boolean,
      statusCode: number | null = null,
    ): Plan => ({
      latencyMs,
      arrives,
      outcome: { kind: "failed", code, detail: "broke off", statusCode, permanent: false },
      isTaken: false,
      retryAfterMs: null,
    });
    switch (trouble) {
      case "timeout":
        return { ...broken("timeout", true), latencyMs: request.timeoutMs };
      case "reset_before":
        return broken("reset", random.chance(0.5));
      case "reset_amid":
        return broken("reset", true, 200);
      case "reset_after":
        return answered(latencyMs, 200);
      case "not_found":
        return answered(latencyMs, 404);
      case "bad_request":
        return answered(latencyMs, 400);
      case "server_error":
        return answered(latencyMs, 500);
      case "redirect":
        return answered(latencyMs, 302);
      case "gone":
        return answered(latencyMs, 410);
      case "rate_limited":
        return answered(latencyMs, 429);
      case "rate_limited_for":
        return answered(latencyMs, 429, String(seconds), seconds * 1000);
      case "rate_limited_until": {
        // The sender reads it when it has come: by then a part of the wait is over.
        const untilMs = Math.ceil((this.#scheduler.wallMs + latencyMs) / 1000 + seconds) * 1000;
        return answered(latencyMs, 429, new Date(untilMs).toUTCString(), seconds * 1000);
      }
      case "unavailable":
        return answered(latencyMs, 503);
      case "unavailable_for":
        return answered(latencyMs, 503, String(seconds), seconds * 1000);
      case "bad_gateway":
        return answered(latencyMs, random.pick([502, 504]));
      case "not_started":
        return { ...broken("reset", false), latencyMs: 1, outcome: { kind: "not_started", code: "EMFILE" } };
      case "dns":
        return broken("dns", false);
      case "connect":
        return broken("connect", false);
      case "tls":
        return broken("tls", false);
      case "blocked":
        return broken("blocked_address", false);
      case "slow":
        return answered(random.int(1000, request.timeoutMs + 500), 200);
      case "odd_retry_after":
        return answered(latencyMs, 429, random.pick(["-5", "1.5", "soon", "0", "Thu, 01 Jan 1970 00:00:00 GMT"]));
    }
  }
}

function answered(latencyMs: number, statusCode: number, retryAfter: string | null = null, retryAfterMs: number | null = null): Plan {
  return {
    latencyMs,
    arrives: true,
    outcome: { kind: "answered", statusCode, retryAfter, excerpt: "" },
    isTaken: statusCode >= 200 && statusCode <= 299,
    retryAfterMs,
  };
}

function failed(code: "reset", detail: string): WebhookExchange {
  return { outcome: { kind: "failed", code, detail, statusCode: null, permanent: false }, durationMs: 0 };
}
