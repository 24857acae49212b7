import { setImmediate } from "node:timers/promises";
import { onTestFinished } from "vitest";
import { createSecretBox } from "../../src/adapters/sealing/secret-box.ts";
import { openSqliteStore } from "../../src/adapters/sqlite/store.ts";
import { WebhookAddressGuard } from "../../src/adapters/webhook/address-guard.ts";
import { createWebhookSender } from "../../src/adapters/webhook/sender.ts";
import type { DeliveryPolicy } from "../../src/domain/deliveries/retry-policy.ts";
import { DeliveryLimits } from "../../src/engine/delivery/delivery-limits.ts";
import type { DeliveryLimitsOptions } from "../../src/engine/delivery/delivery-limits.ts";
import { Dispatcher } from "../../src/engine/delivery/dispatcher.ts";
import { AccountAdministration } from "../../src/engine/administration/accounts.ts";
import { draftSecret } from "../../src/engine/registration/sealed-drafts.ts";
import { WebhookComposer } from "../../src/engine/delivery/webhook-composer.ts";
import type { Notice } from "../../src/ports/stores/call-store.ts";
import type { DeliveryView } from "../../src/ports/stores/read-store.ts";
import type { SendJob } from "../../src/ports/stores/send-job.ts";
import type { ServiceStore } from "../../src/ports/stores/service-store.ts";
import type { Logger, Metrics } from "../../src/ports/telemetry.ts";
import type { NotStarted } from "../../src/ports/not-started.ts";
import type { WebhookRequest, WebhookSender } from "../../src/ports/webhook-sender.ts";
import { startCallbacks } from "./receivers/callbacks.ts";
import type { Callback, CallbackAnswer, Callbacks } from "./receivers/callbacks.ts";
import { FakeClock } from "./fake-clock.ts";
import { StoreWorld, testPolicy } from "./store-drafts.ts";
import type { WatchWish } from "./store-drafts.ts";

const deliverySecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";

export type DeliverySetup = {
  readonly policy?: Partial<DeliveryPolicy>;
  readonly limits?: Partial<Omit<DeliveryLimitsOptions, "clock">>;
  /** A file, for what a restart must not lose. */
  readonly path?: string;
  readonly random?: () => number;
  readonly timeoutMs?: number;
  readonly mayStart?: () => boolean;
  readonly targetMaxAgeMs?: number;
};

export type LogLine = { readonly level: string; readonly message: string; readonly fields: Readonly<Record<string, unknown>> };

/** What ends with a crash. */
type Process = {
  storeCalls: number;
  /** Called when no operation of the store is left. */
  whenAnswered: (() => void)[];
  /** Nothing it asks of the store gets there any more. */
  isGone: boolean;
  readonly close: () => Promise<void>;
};

/** After every timer all that it set off has come to an end: answers of the store, exchanges, records. */
class SettlingClock extends FakeClock {
  settled: () => Promise<void> = () => super.settle();

  override settle(): Promise<void> {
    return this.settled();
  }

  /** Though something has not come to an end. */
  async advanceWithout(ms: number): Promise<void> {
    const { settled } = this;
    this.settled = () => super.settle();
    await this.advance(ms);
    this.settled = settled;
  }
}

/**
 * The dispatcher with a real store, real keys and the real sender, on a fake clock, sending to callback servers on
 * loopback. Events are committed as the poller commits them.
 */
export class DeliveryWorld {
  readonly clock = new SettlingClock();
  readonly lines: LogLine[] = [];
  readonly notices: Notice[] = [];
  readonly unwatched: string[] = [];
  readonly sent: WebhookRequest[] = [];
  /** What this process lacks for sending; `null`: nothing. */
  lacking: NotStarted["code"] | null = null;
  /** Called before every operation of the store; what it throws is the operation's answer, what it returns is waited for. */
  beforeStore: (operation: string) => Promise<void> | void = () => undefined;
  store: ServiceStore;
  registrations: StoreWorld;
  gates: DeliveryLimits;
  dispatcher: Dispatcher;
  readonly #setup: DeliverySetup;
  readonly #secretBox = createSecretBox([Buffer.alloc(32, 7)]);
  readonly #callbacks: Callbacks[] = [];
  #process: Process;

  private constructor(store: ServiceStore, setup: DeliverySetup) {
    this.#setup = setup;
    this.clock.settled = () => this.settle();
    [this.#process, this.store] = this.#observe(store);
    this.registrations = new StoreWorld(this.store);
    [this.gates, this.dispatcher] = this.#createDispatcher();
  }

  static async open(setup: DeliverySetup = {}): Promise<DeliveryWorld> {
    const world = new DeliveryWorld(await openStore(setup), setup);
    await new AccountAdministration({
      store: world.store,
      secretBox: world.#secretBox,
      hashApiKey: (apiKey) => `hash of ${apiKey}`,
      clock: world.clock,
    }).ensureDefaultAccount("a-key-of-the-default-account");
    onTestFinished(() => world.close());
    return world;
  }

  /** A callback server whose open requests `settle` does not wait for. */
  async receive(answer?: (callback: Callback) => CallbackAnswer | Promise<CallbackAnswer>): Promise<Callbacks> {
    const callbacks = await startCallbacks(answer);
    this.#callbacks.push(callbacks);
    return callbacks;
  }

  async watch(callSid: string, { endpoint, ...wish }: WatchWish = {}) {
    const nowMs = this.#registrationsNow();
    return this.registrations.watch(callSid, {
      ...wish,
      endpoint: { givenSecret: draftSecret(this.#secretBox, deliverySecret, nowMs), ...endpoint },
    });
  }

  async hook(url: string, { endpoint, ...wish }: Parameters<StoreWorld["hook"]>[1] = {}) {
    const nowMs = this.#registrationsNow();
    return this.registrations.hook(url, {
      ...wish,
      endpoint: { givenSecret: draftSecret(this.#secretBox, deliverySecret, nowMs), ...endpoint },
    });
  }

  /** A poll saw another status: committed, and handed to the dispatcher without waiting for what comes of it. */
  async see(callSid: string, status: string): Promise<readonly SendJob[]> {
    this.#registrationsNow();
    const { jobs } = await this.registrations.see(callSid, status);
    this.dispatcher.accept(jobs);
    // Deliveries to a host that has paused are left to claims: in the service the next round of the loop finds them.
    if (jobs.length === 0) this.dispatcher.wake();
    return jobs;
  }

  /** Adds a watch with one pending webhook for each URL, in the given order. */
  async addPending(urls: readonly string[], prefix = "OUT-pending"): Promise<void> {
    for (const [index, url] of urls.entries()) {
      await this.watch(`${prefix}-${index}`, { url });
      await this.see(`${prefix}-${index}`, "queued");
    }
  }

  /** The deliveries of a call, or all of them, oldest first. */
  async deliveries(callSid: string | null = null): Promise<readonly DeliveryView[]> {
    const { id: accountId } = await this.registrations.account();
    const found: DeliveryView[] = [];
    let cursor: string | null = null;
    do {
      const page = await this.store.listDeliveries({ accountId, endpointId: null, watchId: null, status: null, limit: 200, cursor });
      found.push(...page.data);
      cursor = page.nextCursor;
    } while (cursor !== null);
    return found.filter((view) => callSid === null || view.delivery.callSid === callSid).toReversed();
  }

  async attemptsOf(deliveryId: string) {
    return (await this.registrations.deliveryOf({ deliveryId })).attempts;
  }

  async tick(): Promise<void> {
    await this.dispatcher.tick();
    await this.settle();
  }

  /** What the service's loop does, for as long as the clock goes. */
  tickEachSecond(): void {
    this.clock.setTimer(this.dispatcher.tickEveryMs, () => {
      void this.dispatcher.tick();
      this.tickEachSecond();
    });
  }

  /** The process is gone at this moment: nothing is handed back, nothing that runs is recorded. Another one starts on the same file. */
  async crash(): Promise<void> {
    this.#process.isGone = true;
    void this.dispatcher.stop(0);
    await this.#start();
  }

  /** A stop as by SIGTERM, with no time for what is on the wire, and another start on the same file. */
  async restart(): Promise<void> {
    await this.dispatcher.stop(0);
    await this.#start();
  }

  async close(): Promise<void> {
    await this.dispatcher.stop(0);
    await this.#process.close();
  }

  async #start(): Promise<void> {
    if (this.#setup.path === undefined) throw new Error("only a file outlives its process");
    await this.#process.close();
    [this.#process, this.store] = this.#observe(await openStore(this.#setup));
    this.registrations.store = this.store;
    [this.gates, this.dispatcher] = this.#createDispatcher();
    this.dispatcher.wake();
  }

  /** Until the store has answered everything and nothing is on the wire but what callback servers have not answered. */
  async settle(): Promise<void> {
    for (let quietTurns = 0; quietTurns < 3;) {
      // Without turns of the event loop, which would take the processor from the store's thread.
      if (this.#process.storeCalls > 0) await this.#answered();
      await setImmediate();
      const open = this.#callbacks.reduce((sum, callbacks) => sum + callbacks.unanswered, 0);
      quietTurns = this.#process.storeCalls === 0 && this.dispatcher.inFlight <= open ? quietTurns + 1 : 0;
    }
  }

  #answered(): Promise<void> {
    return new Promise((resolve) => void this.#process.whenAnswered.push(resolve));
  }

  /** Until nothing is on the wire, however long that takes. */
  async idle(): Promise<void> {
    while (this.dispatcher.inFlight > 0) await setImmediate();
    await this.settle();
  }

  #registrationsNow(): number {
    this.registrations.nowMs = this.clock.nowMs();
    return this.registrations.nowMs;
  }

  #createDispatcher(): [DeliveryLimits, Dispatcher] {
    const { limits = {}, random = () => 0, timeoutMs = 15_000, policy = {}, mayStart = () => true, targetMaxAgeMs } = this.#setup;
    const gates = new DeliveryLimits({
      clock: this.clock,
      maxInFlight: 512,
      endpointMaxInFlight: 32,
      hostMaxInFlight: 64,
      hostRateLimits: new Map(),
      ...limits,
    });
    const log = (level: string) => (fields: LogLine["fields"], message: string) => void this.lines.push({ level, message, fields });
    const logger: Logger = { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
    const dispatcher = new Dispatcher({
      store: this.store,
      sender: this.#observedSender(),
      composer: new WebhookComposer({ secretBox: this.#secretBox, accounts: this.store, publicUrl: null, version: "0.0.0" }),
      limits: gates,
      clock: this.clock,
      logger,
      metrics: silentMetrics,
      timeoutMs,
      maxAttempts: (policy.scheduleMs ?? testPolicy.scheduleMs).length,
      poller: { rewatch: (callId) => this.unwatched.push(callId) },
      listeners: [{ committed: ({ notices }) => this.notices.push(...notices), removed: () => undefined }],
      mayStart,
      ...(targetMaxAgeMs === undefined ? {} : { targetMaxAgeMs }),
      random,
    });
    return [gates, dispatcher];
  }

  #observedSender(): WebhookSender {
    const guard = new WebhookAddressGuard({
      allow: ["127.0.0.1/32"],
      allowHttp: true,
      ports: [443, 80],
      dnsServers: [],
      publicUrl: null,
      ownPorts: () => [],
    });
    const sender = createWebhookSender(guard, { connectTimeoutMs: this.#setup.timeoutMs ?? 15_000 });
    return {
      send: (request) => {
        this.sent.push(request);
        if (this.lacking !== null) return Promise.resolve({ outcome: { kind: "not_started", code: this.lacking }, durationMs: 1 });
        return sender.send(request);
      },
      close: () => sender.close(),
    };
  }

  #observe(store: ServiceStore): [Process, ServiceStore] {
    const process: Process = { storeCalls: 0, whenAnswered: [], isGone: false, close: () => store.close() };
    const observed = new Proxy(store, {
      get: (target, name: keyof ServiceStore) => {
        const member = target[name];
        if (typeof member !== "function" || name === "close") return member;
        return async (...args: readonly unknown[]) => {
          process.storeCalls += 1;
          try {
            await this.beforeStore(name);
            if (process.isGone) await new Promise(() => undefined);
            return await (member as (...args: readonly unknown[]) => Promise<unknown>)(...args);
          } finally {
            process.storeCalls -= 1;
            if (process.storeCalls === 0) for (const answered of process.whenAnswered.splice(0)) answered();
          }
        };
      },
    });
    return [process, observed];
  }
}

function openStore({ path = ":memory:", policy = {} }: DeliverySetup): Promise<ServiceStore> {
  return openSqliteStore({ path, policy: { ...testPolicy, ...policy } });
}

const silentMetrics = new Proxy({} as Metrics, { get: () => () => undefined });
