import { EventEmitter, once } from "node:events";
import { setImmediate } from "node:timers/promises";
import { Agent, request } from "undici";
import { expect, onTestFinished } from "vitest";
import { readConfig } from "../../../src/service/config.ts";
import { createService } from "../../../src/service/create-service.ts";
import type { Service } from "../../../src/service/create-service.ts";
import type { Logger } from "../../../src/ports/telemetry.ts";
import { startCallbacks } from "../receivers/callbacks.ts";
import type { Callback, CallbackAnswer, Callbacks } from "../receivers/callbacks.ts";
import { FakeClock } from "../fake-clock.ts";
import { startMs } from "../store-drafts.ts";

export type Json = Readonly<Record<string, unknown>>;
export type ApiAnswer = { readonly status: number; readonly headers: Readonly<Record<string, unknown>>; readonly body: Json };

/** A delivery as `GET /v1/deliveries/{id}` shows it. */
export type ShownDelivery = {
  readonly id: string;
  readonly event_id: string;
  readonly event_type: string;
  readonly watch_id: string | null;
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

export type AttemptLine = Readonly<Record<string, unknown>> & { readonly decision: string; readonly delivery_id: string };

const apiKey = "key-of-the-tests-key-of-the-tests";
export const webhookSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";

/**
 * The whole service in this process, on a database in memory and a fake clock, asked over its own API. Its calls are the
 * sandbox's: `queued` at once, `calling` after 3 s (`slow`: 7 s), the end after 9 s (12 s). Ends with the test.
 */
export class RunningService {
  readonly clock: FakeClock;
  readonly attempts: AttemptLine[] = [];
  readonly lines: { readonly level: string; readonly message: string; readonly fields: Json }[] = [];
  readonly #arrivals = new EventEmitter();
  readonly #agent = new Agent();
  readonly #callbacks: Callbacks[] = [];
  #service: Service | null = null;
  #calls = 0;

  private constructor(wallMs: number) {
    this.clock = new FakeClock(wallMs);
  }

  /** `wallMs`: what the clock says at the start; the time of day for what compares it with its own. */
  static async start(
    environment: Readonly<Record<string, string>> = {},
    { random = () => 0, wallMs = startMs }: { readonly random?: () => number; readonly wallMs?: number } = {},
  ): Promise<RunningService> {
    const running = new RunningService(wallMs);
    const read = readConfig({
      DATABASE_URL: "sqlite::memory:",
      HOST: "127.0.0.1",
      PORT: "0",
      METRICS_PORT: "0",
      RINGBACK_API_KEY: apiKey,
      RINGBACK_ENCRYPTION_KEY: Buffer.alloc(32, 9).toString("base64"),
      CALLBACK_ALLOW: "127.0.0.1/32",
      CALLBACK_ALLOW_HTTP: "true",
      API_MAX_PER_SECOND: "0",
      SHUTDOWN_GRACE_MS: "0",
      ...environment,
    });
    if (read.kind === "invalid") throw new Error(read.faults.join("\n"));
    const service = await createService(read.config, read.secrets, { clock: running.clock, random, logger: running.#logger() });
    running.#service = service;
    onTestFinished(() => running.stop());
    return running;
  }

  /** As a SIGTERM does; also at the end of the test. */
  async stop(): Promise<void> {
    await this.#service?.stop();
    await this.#agent.destroy();
  }

  async api(
    method: "GET" | "POST" | "PATCH" | "DELETE" | "PUT",
    path: string,
    body?: Json,
    headers: Readonly<Record<string, string>> = {},
  ) {
    const answer = await request(`http://127.0.0.1:${this.#service?.apiPort}${path}`, {
      method,
      headers: { authorization: `Bearer ${apiKey}`, ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
      body: body === undefined ? null : JSON.stringify(body),
      dispatcher: this.#agent,
    });
    const text = await answer.body.text();
    return { status: answer.statusCode, headers: answer.headers, body: (text === "" ? {} : JSON.parse(text)) as Json } as ApiAnswer;
  }

  async get<T = Json>(path: string): Promise<T> {
    const { status, body } = await this.api("GET", path);
    expect(status).toBe(200);
    return body as T;
  }

  /** A callback server; `quiet` does not wait for what it has not answered. */
  async receive(
    answer?: (callback: Callback) => CallbackAnswer | Promise<CallbackAnswer>,
    behaviour: Parameters<typeof startCallbacks>[1] = {},
  ): Promise<Callbacks> {
    const callbacks = await startCallbacks(answer, behaviour);
    this.#callbacks.push(callbacks);
    return callbacks;
  }

  /** Watches a new sandbox call that is `queued` already; by default one webhook is owed for it, and no more to come. */
  async watch(callbackUrl: string | null, wish: Json & { readonly scenario?: string } = {}): Promise<Json> {
    const { scenario = "slow", ...rest } = wish;
    const { status, body } = await this.api("POST", "/v1/watches", {
      call_sid: `OUT-sandbox-${scenario}-${++this.#calls}`,
      source: "sandbox",
      events: ["call.queued"],
      ...(callbackUrl === null ? {} : { callback_url: callbackUrl, signing_secret: webhookSecret }),
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

  /** Resolves once so many attempts were recorded in all. */
  async attempted(count: number): Promise<void> {
    while (this.attempts.length < count) await once(this.#arrivals, "attempt");
  }

  async delivery(id: string): Promise<ShownDelivery> {
    return this.get<ShownDelivery>(`/v1/deliveries/${id}`);
  }

  /** What a watch is owed, oldest first, without attempts. */
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

  /** Until nothing is on the wire but what callback servers have not answered. The store answers in the order it is asked. */
  async quiet(): Promise<void> {
    for (let quietTurns = 0; quietTurns < 3;) {
      for (let turn = 0; turn < 3; turn++) await setImmediate();
      const pending = await this.deliveriesOf("status=pending");
      const leased = pending.filter(({ explain }) => explain.endsWith("is being made")).length;
      const open = this.#callbacks.reduce((sum, { unanswered }) => sum + unanswered, 0);
      quietTurns = leased <= open ? quietTurns + 1 : 0;
    }
  }

  /** Second by second, as a running machine sees it. */
  async pass(ms: number): Promise<void> {
    await this.quiet();
    for (let leftMs = ms; leftMs > 0; leftMs -= 1000) {
      await this.clock.advance(Math.min(1000, leftMs));
      await this.quiet();
    }
  }

  /** At once, as a machine that was asleep sees it. */
  async leap(ms: number): Promise<void> {
    await this.quiet();
    await this.clock.leap(ms);
    await this.quiet();
  }

  #logger(): Logger {
    const log = (level: string) => (fields: Json, message: string) => {
      this.lines.push({ level, message, fields });
      if (message !== "delivery.attempted") return;
      this.attempts.push(fields as AttemptLine);
      this.#arrivals.emit("attempt");
    };
    return { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
  }
}
