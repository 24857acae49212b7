import { EventEmitter, once } from "node:events";
import { setImmediate } from "node:timers/promises";
import { expect } from "vitest";
import type { Logger } from "../../../src/ports/telemetry.ts";
import { FakeClock } from "../fake-clock.ts";
import { startCallbacks } from "../receivers/callbacks.ts";
import type { Callback, CallbackAnswer, Callbacks } from "../receivers/callbacks.ts";
import { startMs } from "../store-drafts.ts";
import type { Client, Json } from "./client.ts";
import { signingSecret } from "./environment.ts";
import type { Environment } from "./environment.ts";
import { startService } from "./service.ts";
import type { DatabaseChoice, InProcessService } from "./service.ts";

/** A delivery as `GET /v1/deliveries/{id}` shows it. */
export type ShownDelivery = {
  readonly id: string;
  readonly event_id: string;
  readonly event_type: string;
  readonly watch_id: string | null;
  readonly call_sid: string | null;
  readonly endpoint_id: string;
  readonly status: string;
  readonly attempt_count: number;
  readonly next_attempt_at: string | null;
  readonly settled_at: string | null;
  readonly explain: string;
  readonly attempts: readonly {
    readonly number: number;
    readonly started_at: string;
    readonly status_code: number | null;
    readonly error: { readonly code: string; readonly detail: string } | null;
    readonly response_excerpt: string | null;
    readonly decision: string;
  }[];
};

type LogLine = { readonly level: string; readonly message: string; readonly fields: Json };

type AttemptLine = Readonly<Record<string, unknown>> & { readonly decision: string; readonly delivery_id: string };

type WorldOptions = {
  readonly random?: () => number;
  /** Stands still until the test moves it. */
  readonly clock?: FakeClock;
  readonly database?: DatabaseChoice;
};

const stepMs = 100;
const mostLooks = 600;

/**
 * The whole service in this process, on a fake clock and in memory, used over its own API. Calls of the sandbox are
 * `queued` at once, `calling` after 3 s (`slow`: 7 s) and over after 9 s (12 s). Ends with the test.
 */
export class ServiceWorld {
  readonly clock: FakeClock;
  readonly client: Client;
  readonly attempts: AttemptLine[];
  readonly lines: readonly LogLine[];
  readonly service: InProcessService;
  readonly #arrivals: EventEmitter;
  readonly #callbacks: Callbacks[] = [];
  #calls = 0;
  #barriers = 0;

  static async start(environment: Environment = {}, options: WorldOptions = {}): Promise<ServiceWorld> {
    const { random = () => 0, clock = new FakeClock(startMs), database = "sqlite-memory" } = options;
    const log = new ServiceLog();
    const service = await startService({
      database,
      environment: {
        RINGBACK_ENCRYPTION_KEY: Buffer.alloc(32, 9).toString("base64"),
        API_MAX_PER_SECOND: "0",
        SHUTDOWN_GRACE_MS: "0",
        ...environment,
      },
      clock,
      random,
      logger: log.logger,
    });
    return new ServiceWorld(service, clock, log);
  }

  private constructor(service: InProcessService, clock: FakeClock, log: ServiceLog) {
    this.service = service;
    this.client = service.client;
    this.clock = clock;
    this.lines = log.lines;
    this.attempts = log.attempts;
    this.#arrivals = log.arrivals;
  }

  /** As a SIGTERM does; also at the end of the test. */
  stop(): Promise<void> {
    return this.service.stop();
  }

  async get<T = Json>(path: string): Promise<T> {
    const { status, body } = await this.client.get(path);
    expect(status).toBe(200);
    return body as T;
  }

  /** A callback server. `quiet` does not wait for requests that it has not answered. */
  async receive(
    answer?: (callback: Callback) => CallbackAnswer | Promise<CallbackAnswer>,
    behaviour: Parameters<typeof startCallbacks>[1] = {},
  ): Promise<Callbacks> {
    const callbacks = await startCallbacks(answer, behaviour);
    this.#callbacks.push(callbacks);
    return callbacks;
  }

  /** Watches a new sandbox call that is `queued` already; by default it makes one webhook and no more. */
  async watch(callbackUrl: string | null, wish: Json & { readonly scenario?: string } = {}): Promise<Json> {
    const { scenario = "slow", ...rest } = wish;
    const { status, body } = await this.client.post("/v1/watches", {
      call_sid: `OUT-sandbox-${scenario}-${++this.#calls}`,
      source: "sandbox",
      events: ["call.queued"],
      ...(callbackUrl === null ? {} : { callback_url: callbackUrl, signing_secret: signingSecret }),
      ...rest,
    });
    expect(body["type"]).toBeUndefined();
    expect(status).toBe(201);
    return body;
  }

  /** Watches a call, waits for its first attempt to be recorded and shows its delivery. */
  async firstAttempt(callbackUrl: string, wish: Json & { readonly scenario?: string } = {}): Promise<ShownDelivery> {
    const before = this.attempts.length;
    const { id } = await this.watch(callbackUrl, wish);
    await this.attempted(before + 1);
    await this.quiet();
    return this.deliveryOf(String(id));
  }

  /** Resolves once this number of attempts was recorded in all. */
  async attempted(count: number): Promise<void> {
    while (this.attempts.length < count) await once(this.#arrivals, "attempt");
  }

  async delivery(id: string): Promise<ShownDelivery> {
    return this.get<ShownDelivery>(`/v1/deliveries/${id}`);
  }

  /** Deliveries that match a query, oldest first, without attempts. */
  async deliveriesOf(query: string): Promise<readonly Omit<ShownDelivery, "attempts">[]> {
    const { data } = await this.get<{ data: readonly ShownDelivery[] }>(`/v1/deliveries?limit=200&${query}`);
    return data.toReversed();
  }

  /** The only delivery of a watch. */
  async deliveryOf(watchId: string): Promise<ShownDelivery> {
    const deliveries = await this.deliveriesOf(`watch_id=${watchId}`);
    expect(deliveries).toHaveLength(1);
    return this.delivery(deliveries[0]?.id ?? "");
  }

  async endpoint(id: string): Promise<Json> {
    return this.get(`/v1/endpoints/${id}`);
  }

  /** Waits until nothing is on the wire but requests that callback servers have not answered. The store answers in order. */
  async quiet(): Promise<void> {
    for (let quietTurns = 0; quietTurns < 3;) {
      for (let turn = 0; turn < 3; turn++) await setImmediate();
      const pending = await this.deliveriesOf("status=pending");
      const leased = pending.filter(({ explain }) => explain.endsWith("is being made")).length;
      const open = this.#callbacks.reduce((sum, { unanswered }) => sum + unanswered, 0);
      quietTurns = leased <= open ? quietTurns + 1 : 0;
    }
  }

  /** Lets time pass second by second, as on a running machine. */
  async pass(ms: number): Promise<void> {
    await this.quiet();
    for (let leftMs = ms; leftMs > 0; leftMs -= 1000) {
      await this.clock.advance(Math.min(1000, leftMs));
      await this.quiet();
    }
  }

  /** Lets time pass at once, as on a machine that slept. */
  async leap(ms: number): Promise<void> {
    await this.quiet();
    await this.clock.leap(ms);
    await this.quiet();
  }

  /** Lets time pass in small steps; after each the store has answered all its requests. */
  async advance(ms: number): Promise<void> {
    for (let passedMs = 0; passedMs < ms; passedMs += stepMs) {
      await this.clock.advance(Math.min(stepMs, ms - passedMs));
      await this.#barrier();
    }
  }

  /** Lets time pass until it is so; rejects if it is not within `limitMs` of the service's time. */
  async until(isSo: () => boolean | Promise<boolean>, limitMs = 60_000): Promise<void> {
    const betweenMs = Math.max(stepMs, limitMs / mostLooks);
    for (let passedMs = 0; !(await isSo()); passedMs += betweenMs) {
      if (passedMs >= limitMs) throw new Error(`not so after ${limitMs} ms: ${isSo.toString()}`);
      await this.clock.advance(betweenMs);
      await this.#barrier();
    }
  }

  /** Resolves once the store has answered all requests: a key that no cache has is looked up, and the store answers in order. */
  async #barrier(): Promise<void> {
    await this.client.get("/v1/me", { authorization: `Bearer barrier-${++this.#barriers}` });
  }
}

/** Keeps what the service logs. */
class ServiceLog {
  readonly lines: LogLine[] = [];
  readonly attempts: AttemptLine[] = [];
  readonly arrivals = new EventEmitter();
  readonly logger: Logger;

  constructor() {
    const log = (level: string) => (fields: Json, message: string) => {
      this.lines.push({ level, message, fields });
      if (message !== "delivery.attempted") return;
      this.attempts.push(fields as AttemptLine);
      this.arrivals.emit("attempt");
    };
    this.logger = { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
  }
}
