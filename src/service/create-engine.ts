import type { Config } from "./config.ts";
import type { SourceHealth } from "../domain/sources/source.ts";
import { Authenticator } from "../engine/requests/authentication.ts";
import { RetentionCleaner } from "../engine/runtime/retention-cleaner.ts";
import { DeliveryLimits } from "../engine/delivery/delivery-limits.ts";
import { Dispatcher } from "../engine/delivery/dispatcher.ts";
import { EndpointEditor } from "../engine/registration/endpoint-settings.ts";
import { Idempotency } from "../engine/requests/idempotency.ts";
import type { LeaseTimes } from "../engine/instances/instance-lease.ts";
import { LiveStateReader } from "../engine/requests/live-state.ts";
import { ManualSender } from "../engine/delivery/manual-delivery.ts";
import { LongPollWaiters } from "../engine/requests/long-poll-waiters.ts";
import { InstanceCoordinator } from "../engine/instances/instance-coordinator.ts";
import { Poller } from "../engine/polling/poller.ts";
import { Registrar } from "../engine/registration/registrar.ts";
import { SourceReloader } from "../engine/polling/source-reloader.ts";
import { Supervisor } from "../engine/runtime/supervisor.ts";
import { WebhookComposer } from "../engine/delivery/webhook-composer.ts";
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

/** What runs behind the API. */
export type Engine = {
  readonly poller: Poller;
  readonly supervisor: Supervisor;
  readonly registration: Registrar;
  readonly endpointSettings: EndpointEditor;
  readonly manualDelivery: ManualSender;
  readonly live: LiveStateReader;
  readonly authentication: Authenticator;
  readonly idempotency: Idempotency;
  /** False while a database that others share does not answer the heartbeats. */
  isStoreReachable(): boolean;
  /** Takes up what is to be done, and joins the other instances. The loops are the supervisor's to start. Rejects with the signal's reason. */
  start(signal: AbortSignal): Promise<void>;
  /** Whoever waits is answered, polls and webhooks finish, each has the whole grace; then everything is given back. */
  drain(graceMs: number): Promise<void>;
  /** Gives up the place among the instances; after `drain`. */
  leave(): Promise<void>;
  /** Releases what holds sockets or timers, also of an engine that never started. */
  close(): Promise<void>;
};

const saturatedRetryMs = 60_000;

/** Puts the engine together on an open store; where others share it, with what this instance has among them. */
export function createEngine(parts: EngineDependencies): Engine {
  const { config, opened, keyring, sources, guard, sender, logger, metrics, random, isStopping } = parts;
  const { store, shared, clock } = opened;
  const { secretBox, hashApiKey } = keyring;
  const waiters = new LongPollWaiters(clock);
  const { delivery } = config;
  const limits = new DeliveryLimits({ clock, ...delivery });
  const composer = new WebhookComposer({ secretBox, accounts: store, publicUrl: config.api.publicUrl, version: config.version });
  const mayStart = () => coordinator?.mayStart() ?? true;
  const sharing = shared === null ? {} : { mayStart };
  const dispatcher: Dispatcher = new Dispatcher({
    store,
    sender,
    composer,
    limits,
    clock,
    logger,
    metrics,
    timeoutMs: delivery.timeoutMs,
    maxAttempts: delivery.scheduleMs.length,
    onUnwatched: (callIds) => {
      for (const callId of callIds) poller.rewatch(callId, null);
    },
    notify: (notices) => waiters.publish(notices),
    ...sharing,
    random,
  });
  const poller: Poller = new Poller({
    sources: sources.setups,
    store,
    clock,
    logger,
    metrics,
    random,
    dispatch: (jobs) => dispatcher.accept(jobs),
    notify: (notices) => waiters.publish(notices),
    onSourceChange: (health, change) =>
      coordinator === null ? notifyHooks(health, change) : coordinator.publishSourceChange(health, change),
    ...sharing,
    ...(shared === null ? {} : { outlivesStore: true, onShared: (name, part) => coordinator?.shared(name, part) }),
  });
  const notifyHooks = ({ name, state, reason }: SourceHealth, change: "suspended" | "resumed"): void => {
    const event = { type: `source.${change}` as const, sourceName: name, state, reason, nowMs: clock.nowMs() };
    store.publishSourceEvent(event).then(
      ({ jobs, notices }) => {
        dispatcher.accept(jobs);
        waiters.publish(notices);
      },
      (error: unknown) => logger.warn({ source: name, error: String(error) }, "source.event_failed"),
    );
  };
  const coordinator: InstanceCoordinator | null =
    shared === null
      ? null
      : new InstanceCoordinator({
          store: shared.instances,
          releaseDeliveries: (leases, nowMs) => store.releaseDeliveries(leases, nowMs),
          clock,
          logger,
          version: config.version,
          times: parts.leaseTimes,
          poller,
          dispatcher,
          limits,
          waiters,
          refreshSources: () => reloader.refresh(),
          peerNotifier: shared.peerNotifier,
          onInstances: (count) => metrics.instances(count),
          secretBox,
          onSourceChange: notifyHooks,
        });

  const reloader = new SourceReloader({ store, secretBox, logger, poller, ...sources });

  const supervisor = new Supervisor({
    clock,
    logger,
    metrics,
    // It is the database's clock where several see it: one of them acts.
    onClockSetBack: async (deltaMs) => (coordinator?.isEldest === false ? undefined : store.moveSchedule(deltaMs)),
  });
  const cleaner = new RetentionCleaner({ store, clock, logger, retentionDays: config.retentionDays });
  supervisor.add({ name: "poller", everyMs: poller.tickEveryMs, tick: () => poller.tick() });
  if (coordinator === null) {
    supervisor.add({ name: "dispatcher", everyMs: dispatcher.tickEveryMs, tick: () => dispatcher.tick() });
    supervisor.add({ name: "sources", everyMs: reloader.tickEveryMs, tick: () => reloader.tick() });
  } else {
    // The sweep says when a delivery is due, and when sources were set.
    supervisor.add({ name: "dispatcher", everyMs: dispatcher.tickEveryMs, tick: () => dispatcher.maintain() });
    supervisor.add({ name: "heartbeat", everyMs: coordinator.heartbeatEveryMs, tick: () => coordinator.heartbeat() });
    supervisor.add({ name: "sweep", everyMs: coordinator.sweepEveryMs, tick: () => coordinator.sweep() });
  }
  supervisor.add({ name: "cleaner", everyMs: cleaner.tickEveryMs, tick: () => cleaner.tick() });

  const isStoreReachable = () => coordinator?.isStoreReachable ?? true;
  const live = new LiveStateReader({
    poller,
    waiters,
    supervisor,
    store,
    sources: sources.registrable,
    isStopping,
    isStoreReachable,
  });
  const idempotency = new Idempotency({ store, secretBox, clock });
  const registration = new Registrar({
    store,
    idempotency,
    secretBox,
    guard,
    allowHttp: config.callbacks.allowHttp,
    clock,
    sources: sources.registrable,
    quotas: config.limits,
    watchDeadlineMs: config.polling.watchDeadlineMs,
    consumers: {
      watch: (call) => poller.watch(call),
      rewatch: (callId, call) => poller.rewatch(callId, call),
      lastGoodPollAtMs: (name, scope, callSid) => poller.lastGoodPollAtMs(name, scope, callSid),
      isPolled: (name, scope, callSid) => poller.isPolled(name, scope, callSid),
      saturation: (name, additional) => (poller.isSaturated(name, additional) ? saturatedRetryMs : null),
      dispatch: (jobs) => dispatcher.accept(jobs),
      notify: (notices) => waiters.publish(notices),
      cancelWatch: (watchId) => dispatcher.cancelWatch(watchId),
      cancelDeliveries: (deliveryIds) => dispatcher.cancelDeliveries(deliveryIds),
      reopenEndpoint: (endpointId) => dispatcher.reopenEndpoint(endpointId),
    },
  });
  let isDrained = false;
  return {
    poller,
    supervisor,
    registration,
    endpointSettings: new EndpointEditor({ store, idempotency, secretBox, clock, consumers: dispatcher }),
    manualDelivery: new ManualSender({ store, idempotency, clock, dispatcher, notify: (notices) => waiters.publish(notices) }),
    live,
    authentication: new Authenticator({ store, hashApiKey, clock }),
    idempotency,
    isStoreReachable,
    async start(signal) {
      await (shared === null ? reloader.refresh() : untilReachable(() => reloader.refresh(), signal));
      if (coordinator === null || shared === null) return poller.start();
      opened.onTrouble = () => coordinator.onStoreError();
      shared.onFenced(() => coordinator.rejoin());
      shared.listen((what) => coordinator.onSignal(what));
      await coordinator.start();
    },
    async drain(graceMs) {
      isDrained = true;
      waiters.stop();
      cleaner.stop();
      coordinator?.drain();
      await Promise.all([supervisor.stop(graceMs), poller.stop(graceMs), dispatcher.stop(graceMs)]);
    },
    async leave() {
      await coordinator?.stop();
    },
    async close() {
      waiters.stop();
      // A start that was refused behind it: nothing goes out any more, and its place among the others is free at once.
      if (!isDrained) {
        await Promise.all([poller.stop(0), dispatcher.stop(0)]);
        await coordinator?.stop();
      }
      await poller.closeSources();
    },
  };
}
