import type { Config } from "./config.ts";
import { Authenticator } from "../engine/requests/authentication.ts";
import { CounterRecount } from "../engine/runtime/counter-recount.ts";
import { RetentionCleaner } from "../engine/runtime/retention-cleaner.ts";
import { DeliveryLimits } from "../engine/delivery/delivery-limits.ts";
import { Dispatcher } from "../engine/delivery/dispatcher.ts";
import { EndpointEditor } from "../engine/registration/endpoint-settings.ts";
import { Idempotency } from "../engine/requests/idempotency.ts";
import type { LeaseTimes } from "../engine/instances/membership.ts";
import { LiveStateReader } from "../engine/requests/live-state.ts";
import { ManualBudget } from "../engine/delivery/manual-budget.ts";
import { ManualSender } from "../engine/delivery/manual-delivery.ts";
import { LongPollWaiters } from "../engine/requests/long-poll-waiters.ts";
import { maxConnections } from "../http/server/server.ts";
import { InstanceCoordinator } from "../engine/instances/instance-coordinator.ts";
import { Poller } from "../engine/polling/poller.ts";
import type { PollerOptions } from "../engine/polling/poller.ts";
import { Registrar } from "../engine/registration/registrar.ts";
import { SourceEventPublisher } from "../engine/polling/source-event-publisher.ts";
import { SourceReloader } from "../engine/polling/source-reloader.ts";
import { LocalTrouble } from "../engine/runtime/local-trouble.ts";
import { Supervisor } from "../engine/runtime/supervisor.ts";
import { WebhookComposer } from "../engine/delivery/webhook-composer.ts";
import type { CommitListener } from "../ports/commit-listener.ts";
import type { Keyring } from "./open-keyring.ts";
import { untilReachable } from "./open-store.ts";
import type { OpenStore } from "./open-store.ts";
import type { Logger, Metrics } from "../ports/telemetry.ts";
import type { AddressGuard, WebhookSender } from "../ports/webhook-sender.ts";
import type { Sources } from "./create-sources.ts";

export type EngineDependencies = {
  readonly config: Config;
  readonly opened: OpenStore;
  readonly keyring: Keyring;
  readonly sources: Sources;
  readonly guard: AddressGuard;
  readonly sender: WebhookSender;
  readonly logger: Logger;
  readonly metrics: Metrics & { instances(count: number): void };
  readonly leaseTimes: LeaseTimes;
  readonly random: () => number;
  readonly isStopping: () => boolean;
};

/** Everything that runs behind the API. */
export type Engine = {
  readonly poller: Poller;
  readonly supervisor: Supervisor;
  readonly registration: Registrar;
  readonly endpointSettings: EndpointEditor;
  readonly manualDelivery: ManualSender;
  readonly live: LiveStateReader;
  readonly authentication: Authenticator;
  readonly idempotency: Idempotency;
  /** Whether a shared database answered the last heartbeat. Always true for a database of this process alone. */
  isStoreReachable(): boolean;
  /**
   * Loads sources and calls, and joins the other instances; the supervisor starts the loops afterwards. Rejects with the
   * signal's reason.
   */
  start(signal: AbortSignal): Promise<void>;
  /** Answers waiting requests, and lets polls and webhooks finish side by side within `graceMs`; then releases every lease. */
  drain(graceMs: number): Promise<void>;
  /** Leaves the group of instances; after `drain`. */
  leave(): Promise<void>;
  /** Releases sockets and timers, also of an engine that never started. */
  close(): Promise<void>;
};

/** Parts of the engine, as its functions create and pass them on. */
type Parts = {
  readonly waiters: LongPollWaiters;
  readonly idempotency: Idempotency;
  readonly sourceEvents: SourceEventPublisher;
  readonly poller: Poller;
  readonly reloader: SourceReloader;
  readonly dispatcher: Dispatcher;
  readonly limits: DeliveryLimits;
  readonly manualDelivery: ManualSender;
  readonly coordinator: InstanceCoordinator | null;
  readonly cleaner: RetentionCleaner;
  readonly recount: CounterRecount;
};

/** Creates the engine on an open store: polling, then delivery, then, on a shared database, the place among the instances. */
export function createEngine(dependencies: EngineDependencies): Engine {
  const { config, opened, keyring, sources, guard, logger, metrics, isStopping } = dependencies;
  const { store, shared, clock } = opened;
  const { secretBox, hashApiKey } = keyring;
  const waiters = new LongPollWaiters({ clock, maxPerAccount: config.limits.maxWaitingRequests, maxInAll: maxConnections / 2 });
  const idempotency = new Idempotency({ store, secretBox, clock });
  // Listeners of every commit of polling and registration. The dispatcher joins the list below.
  const listeners: CommitListener[] = [waiters];
  const mayStart = () => coordinator?.membership.mayStart() ?? true;
  const localTrouble = new LocalTrouble({ clock, logger });
  const sourceEvents = new SourceEventPublisher({ store, clock, logger, listeners });
  const { poller, reloader } = createPolling(dependencies, {
    listeners,
    mayStart,
    localTrouble,
    onSourceChange: (health, change) =>
      coordinator === null ? sourceEvents.publish(health, change) : coordinator.sourceStates.queueSourceEvent(health, change),
    ...(shared === null ? {} : { onShared: (name, part) => coordinator?.sourceStates.changed(name, part) }),
  });
  const { dispatcher, limits, manualDelivery } = createDelivery(dependencies, { poller, waiters, idempotency, mayStart, localTrouble });
  listeners.push(dispatcher);
  const coordinator: InstanceCoordinator | null = createInstances(dependencies, {
    poller,
    reloader,
    dispatcher,
    limits,
    waiters,
    sourceEvents,
  });
  const cleaner = new RetentionCleaner({ store, clock, logger, retentionDays: config.retentionDays });
  const recount = new CounterRecount({ store, clock, logger, metrics });
  const supervisor = new Supervisor({
    clock,
    logger,
    metrics,
    // Instances that share a database share its due times, so only the eldest moves them.
    onClockSetBack: async (deltaMs) => (coordinator?.isEldest === false ? undefined : store.moveSchedule(deltaMs)),
  });
  addLoops(supervisor, { poller, reloader, dispatcher, coordinator, cleaner, recount });
  const isStoreReachable = () => coordinator?.membership.isReachable ?? true;
  let isDrained = false;
  return {
    poller,
    supervisor,
    registration: new Registrar({
      store,
      idempotency,
      secretBox,
      guard,
      allowHttp: config.callbacks.allowHttp,
      clock,
      sources: sources.registrable,
      quotas: config.limits,
      watchDeadlineMs: config.polling.watchDeadlineMs,
      poller,
      listeners,
      endpointListener: dispatcher,
    }),
    endpointSettings: new EndpointEditor({ store, idempotency, secretBox, clock, endpointListener: dispatcher }),
    manualDelivery,
    live: new LiveStateReader({ poller, waiters, supervisor, store, sources: sources.registrable, isStopping, isStoreReachable }),
    authentication: new Authenticator({ store, hashApiKey, clock }),
    idempotency,
    isStoreReachable,
    async start(signal) {
      await (shared === null ? reloader.refresh() : untilReachable(() => reloader.refresh(), signal));
      if (coordinator === null || shared === null) return poller.start();
      shared.onUnavailable(() => coordinator.orphans.onStoreError());
      shared.onFenced(() => coordinator.membership.heartbeatNow());
      shared.listen((what) => coordinator.onSignal(what));
      await coordinator.start();
    },
    async drain(graceMs) {
      isDrained = true;
      waiters.stop();
      cleaner.stop();
      recount.stop();
      coordinator?.drain();
      await Promise.all([supervisor.stop(graceMs), poller.stop(graceMs), dispatcher.stop(graceMs)]);
    },
    async leave() {
      await coordinator?.stop();
    },
    async close() {
      waiters.stop();
      // The start was refused, so nothing is sent any more and the place among the instances becomes free at once.
      if (!isDrained) {
        await Promise.all([poller.stop(0), dispatcher.stop(0)]);
        await coordinator?.stop();
      }
      await poller.sources.close();
    },
  };
}

/** Creates the poller, which starts all transitions, and the reloader of its sources. */
function createPolling(
  { opened: { store, shared, clock }, keyring: { secretBox }, sources, logger, metrics, random }: EngineDependencies,
  options: Pick<PollerOptions, "listeners" | "mayStart" | "localTrouble" | "onSourceChange" | "onShared">,
): Pick<Parts, "poller" | "reloader"> {
  const outlivesStore = shared !== null;
  const poller = new Poller({ sources: sources.setups, store, clock, logger, metrics, random, outlivesStore, ...options });
  return { poller, reloader: new SourceReloader({ store, secretBox, logger, poller, ...sources }) };
}

/** Age at which the target of a webhook is read again, because another instance may have changed it. An attempt may use settings of at most a second before. */
const sharedTargetMaxAgeMs = 500;

/** Creates the dispatcher, which sends webhooks, and the operations that send one on request. */
function createDelivery(
  { config, opened: { store, shared, clock }, keyring: { secretBox }, sender, logger, metrics, random }: EngineDependencies,
  options: Pick<Parts, "poller" | "waiters" | "idempotency"> & { readonly mayStart: () => boolean; readonly localTrouble: LocalTrouble },
): Pick<Parts, "dispatcher" | "limits" | "manualDelivery"> {
  const { poller, waiters, idempotency, mayStart, localTrouble } = options;
  const { delivery, api, version } = config;
  const limits = new DeliveryLimits({ clock, ...delivery });
  // The dispatcher has the jobs of its own commits already.
  const listeners = [waiters];
  const dispatcher = new Dispatcher({
    store,
    sender,
    composer: new WebhookComposer({ secretBox, accounts: store, publicUrl: api.publicUrl, version }),
    limits,
    clock,
    logger,
    metrics,
    timeoutMs: delivery.timeoutMs,
    ...(shared === null ? {} : { targetMaxAgeMs: sharedTargetMaxAgeMs }),
    maxAttempts: delivery.scheduleMs.length,
    poller,
    listeners,
    mayStart,
    localTrouble,
    random,
  });
  const budget = new ManualBudget({ maxPerAccount: config.limits.manualMaxInFlight, maxInAll: config.delivery.manualMaxInFlight });
  return { dispatcher, limits, manualDelivery: new ManualSender({ store, idempotency, clock, dispatcher, listeners, budget }) };
}

/** Creates the coordinator of this instance on a shared database; `null` if the process has the store alone. */
function createInstances(
  { config, opened: { store, shared, clock }, keyring: { secretBox }, logger, metrics, leaseTimes }: EngineDependencies,
  options: Pick<Parts, "poller" | "reloader" | "dispatcher" | "limits" | "waiters" | "sourceEvents">,
): InstanceCoordinator | null {
  if (shared === null) return null;
  const { poller, reloader, dispatcher, limits, waiters, sourceEvents } = options;
  return new InstanceCoordinator({
    store: shared.instances,
    releaseDeliveries: (leases, nowMs) => store.releaseDeliveries(leases, nowMs),
    clock,
    logger,
    version: config.version,
    times: leaseTimes,
    poller,
    dispatcher,
    limits,
    waiters,
    refreshSources: () => reloader.refresh(),
    peerNotifier: shared.peerNotifier,
    onInstances: (count) => metrics.instances(count),
    secretBox,
    onSourceChange: (health, change) => sourceEvents.publish(health, change),
  });
}

function addLoops(
  supervisor: Supervisor,
  parts: Pick<Parts, "poller" | "reloader" | "dispatcher" | "coordinator" | "cleaner" | "recount">,
): void {
  const { poller, reloader, dispatcher, coordinator, cleaner, recount } = parts;
  supervisor.add({ name: "poller", everyMs: poller.tickEveryMs, tick: () => poller.tick() });
  if (coordinator === null) {
    supervisor.add({ name: "dispatcher", everyMs: dispatcher.tickEveryMs, tick: () => dispatcher.tick() });
    supervisor.add({ name: "sources", everyMs: reloader.tickEveryMs, tick: () => reloader.refresh() });
  } else {
    // The sweep wakes the dispatcher when a delivery is due, and the reloader when sources were set.
    supervisor.add({ name: "dispatcher", everyMs: dispatcher.tickEveryMs, tick: () => dispatcher.maintain() });
    supervisor.add({ name: "heartbeat", everyMs: coordinator.heartbeatEveryMs, tick: () => coordinator.membership.heartbeat() });
    supervisor.add({ name: "sweep", everyMs: coordinator.sweepEveryMs, tick: () => coordinator.sweep() });
  }
  supervisor.add({ name: "cleaner", everyMs: cleaner.tickEveryMs, tick: () => cleaner.tick() });
  supervisor.add({ name: "recount", everyMs: recount.tickEveryMs, tick: () => recount.tick() });
}
