import type { Config } from "./config.ts";
import { Authenticator } from "../engine/requests/authentication.ts";
import { FreshnessKeeper } from "../engine/polling/freshness-keeper.ts";
import { ExpiringKeys } from "../engine/requests/expiring-keys.ts";
import { KeyUses } from "../engine/requests/key-uses.ts";
import { ComputingTurns } from "../engine/runtime/computing-turns.ts";
import { AccountActivityRecorder } from "../engine/runtime/account-activity.ts";
import { AccountStates } from "../engine/runtime/account-states.ts";
import { CounterRecount } from "../engine/runtime/counter-recount.ts";
import { MarkSweeper } from "../engine/runtime/mark-sweeper.ts";
import { withMarkSignal } from "../engine/runtime/marking-store.ts";
import { RetentionCleaner } from "../engine/runtime/retention-cleaner.ts";
import { DeliveryLimits } from "../engine/delivery/delivery-limits.ts";
import { Dispatcher } from "../engine/delivery/dispatcher.ts";
import type { DispatcherOptions } from "../engine/delivery/dispatcher.ts";
import { EndpointEditor } from "../engine/registration/endpoint-settings.ts";
import { PortalEditor } from "../engine/requests/portal-editor.ts";
import { KeyEditor } from "../engine/requests/key-editor.ts";
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
import { CallPlacer } from "../engine/registration/call-placer.ts";
import { PlacingKeys } from "../engine/registration/placing-keys.ts";
import { PlacingSettler } from "../engine/registration/placing-settler.ts";
import { Registrar } from "../engine/registration/registrar.ts";
import { WatchDrafts } from "../engine/registration/watch-drafts.ts";
import type { WatchPublication } from "../engine/registration/watch-publication.ts";
import { OverdueSweeper } from "../engine/polling/overdue-sweeper.ts";
import { SourceEventPublisher } from "../engine/polling/source-event-publisher.ts";
import { SourceReloader } from "../engine/polling/source-reloader.ts";
import { holdingKinds } from "../domain/deliveries/marks.ts";
import { settledWithin } from "../engine/runtime/timed-waits.ts";
import { EventCounter } from "../engine/runtime/event-counter.ts";
import { LocalTrouble } from "../engine/runtime/local-trouble.ts";
import { Supervisor } from "../engine/runtime/supervisor.ts";
import { WebhookComposer } from "../engine/delivery/webhook-composer.ts";
import type { Turns } from "../ports/turns.ts";
import type { Authentication } from "../ports/use-cases/authentication.ts";
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
  readonly placing: CallPlacer;
  readonly endpointSettings: EndpointEditor;
  readonly manualDelivery: ManualSender;
  readonly live: LiveStateReader;
  readonly authentication: Authentication;
  readonly keys: KeyEditor;
  readonly portals: PortalEditor;
  readonly idempotency: Idempotency;
  readonly turns: Turns;
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
  readonly accountStates: AccountStates;
  readonly poller: Poller;
  readonly reloader: SourceReloader;
  readonly dispatcher: Dispatcher;
  readonly limits: DeliveryLimits;
  readonly budget: ManualBudget;
  readonly manualDelivery: ManualSender;
  readonly coordinator: InstanceCoordinator | null;
  readonly cleaner: RetentionCleaner;
  readonly recount: CounterRecount;
  readonly freshness: FreshnessKeeper;
  readonly sweeper: MarkSweeper;
  readonly overdue: OverdueSweeper;
};

const mebibyte = 1024 * 1024;

/** Creates the engine on an open store: polling, then delivery, then, on a shared database, the place among the instances. */
export function createEngine(given: EngineDependencies): Engine {
  const { config, keyring, sources, guard, logger, metrics, isStopping } = given;
  const { shared, clock } = given.opened;
  const store = withMarkSignal(given.opened.store, () => sweeper.wake());
  const dependencies = { ...given, opened: { ...given.opened, store } };
  const { secretBox, hashApiKey, keyedHash } = keyring;
  const waiters = new LongPollWaiters({ clock, maxPerAccount: config.limits.maxWaitingRequests, maxInAll: maxConnections / 2 });
  const idempotency = new Idempotency({ store, secretBox, clock, keyedHash, maxStoredBytes: config.limits.maxStoredAnswersMib * mebibyte });
  // Listeners of every commit. The dispatcher has the jobs of its own commits already, and joins the list of the others below.
  const ofDispatcher = [waiters, new EventCounter(metrics)];
  const listeners: CommitListener[] = [...ofDispatcher];
  const mayStart = () => coordinator?.membership.mayStart() ?? true;
  const localTrouble = new LocalTrouble({ clock, logger });
  const sourceEvents = new SourceEventPublisher({ store, clock, logger, listeners });
  const activity = new AccountActivityRecorder({ store, clock });
  const accountStates = new AccountStates({
    store,
    onDisabled: (accountIds) => {
      poller.parkDisabled();
      dispatcher.closeDisabled();
      for (const accountId of accountIds) waiters.endAccount(accountId);
    },
    // Marks bring back the calls and deliveries.
    onEnabled: () => sweeper.wake(),
  });
  const isDisabled = (accountId: string) => accountStates.isDisabled(accountId);
  const { poller, reloader } = createPolling(dependencies, {
    listeners,
    mayStart,
    localTrouble,
    isDisabled,
    onPoll: (accountId) => activity.polled(accountId),
    onSourceChange: (health, change) =>
      coordinator === null ? sourceEvents.publish(health, change) : coordinator.sourceStates.queueSourceEvent(health, change),
    ...(shared === null ? {} : { onShared: (name, part) => coordinator?.sourceStates.changed(name, part) }),
  });
  const delivery = { poller, idempotency, listeners: ofDispatcher, mayStart, localTrouble, isDisabled };
  const { dispatcher, limits, budget, manualDelivery } = createDelivery(dependencies, delivery);
  listeners.push(dispatcher);
  const coordinator: InstanceCoordinator | null = createInstances(dependencies, {
    poller,
    reloader,
    dispatcher,
    limits,
    budget,
    waiters,
    sourceEvents,
    accountStates,
  });
  const cleaner = new RetentionCleaner({ store, clock, logger, retentionDays: config.retentionDays });
  const overdue = new OverdueSweeper({ store, clock, logger, listeners, overdueAfterMs: config.polling.overdueAfterMs });
  const recount = new CounterRecount({ store, clock, logger, metrics });
  const freshness = new FreshnessKeeper({ store, clock, sources: poller.sources });
  const sweeper = new MarkSweeper({
    store,
    clock,
    onSwept: ({ markKind, done, unwatchedCallIds, resumedCalls, notices, jobs }) => {
      poller.assignment.resume(resumedCalls);
      for (const callId of unwatchedCallIds) poller.rewatch(callId, null);
      for (const listener of listeners) listener.committed({ jobs, notices });
      // What a mark held is due now.
      if (done || !holdingKinds.has(markKind)) dispatcher.wake();
    },
  });
  const supervisor = new Supervisor({
    clock,
    logger,
    metrics,
    // Instances that share a database share its due times, so only the eldest moves them.
    onClockSetBack: async (deltaMs) => (coordinator?.isEldest === false ? undefined : store.moveSchedule(deltaMs)),
  });
  supervisor.add({ name: "activity", everyMs: activity.tickEveryMs, tick: () => activity.tick() });
  addLoops(supervisor, { poller, reloader, dispatcher, coordinator, cleaner, recount, freshness, sweeper, accountStates, overdue });
  const publication = { sources: sources.registrable, poller, listeners, endpointListener: dispatcher };
  const drafts = new WatchDrafts({
    secretBox,
    guard,
    allowHttp: config.callbacks.allowHttp,
    quotas: config.limits,
    watchDeadlineMs: config.polling.watchDeadlineMs,
    ...publication,
  });
  const turns = new ComputingTurns(clock);
  const { placing, settler } = createPlacing(dependencies, { drafts, publication, idempotency });
  supervisor.add({ name: "placings", everyMs: settler.tickEveryMs, tick: () => settler.sweep() });
  const keyUses = new KeyUses({ store, clock });
  const expiringKeys = new ExpiringKeys({ store, clock, listeners, isInCharge: () => coordinator?.isEldest ?? true });
  supervisor.add({ name: "key uses", everyMs: keyUses.tickEveryMs, tick: () => keyUses.tick() });
  supervisor.add({ name: "expiring keys", everyMs: expiringKeys.tickEveryMs, tick: () => expiringKeys.tick() });
  const isStoreReachable = () => coordinator?.membership.isReachable ?? true;
  let isDrained = false;
  return {
    poller,
    supervisor,
    registration: new Registrar({ store, idempotency, drafts, clock, turns, quotas: config.limits, ...publication }),
    placing,
    endpointSettings: new EndpointEditor({ store, idempotency, secretBox, clock, endpointListener: dispatcher }),
    manualDelivery,
    live: new LiveStateReader({
      clock,
      poller,
      waiters,
      supervisor,
      store,
      sources: sources.registrable,
      isStopping,
      isStoreReachable,
      cluster: () => coordinator?.membership.cluster ?? null,
    }),
    portals: new PortalEditor({ store, idempotency, clock }),
    keys: new KeyEditor({
      store,
      idempotency,
      hashApiKey,
      clock,
      // What fails is announced by the next tick.
      onExpiringCreated: () =>
        void expiringKeys.announce().catch((error: unknown) => logger.debug({ error: String(error) }, "keys.not_announced")),
    }),
    authentication: activity.noting(new Authenticator({ store, hashApiKey, clock, onUsed: (keyId) => keyUses.note(keyId) })),
    idempotency,
    turns,
    isStoreReachable,
    async start(signal) {
      await (shared === null ? reloader.refresh() : untilReachable(() => reloader.refresh(), signal));
      await (shared === null ? freshness.load() : untilReachable(() => freshness.load(), signal));
      if (coordinator === null || shared === null) {
        await accountStates.refresh();
        await settler.sweep(true);
        return poller.start();
      }
      shared.onUnavailable(() => coordinator.orphans.onStoreError());
      shared.onFenced(() => coordinator.membership.heartbeatNow());
      shared.listen((what) => coordinator.onSignal(what));
      await coordinator.start();
    },
    async drain(graceMs) {
      isDrained = true;
      waiters.stop();
      for (const source of poller.sources.all()) source.stopTriggers();
      cleaner.stop();
      recount.stop();
      sweeper.stop();
      overdue.stop();
      coordinator?.drain();
      const kept = settledWithin(clock, graceMs, freshness.exchange());
      // What was not written yet is at most a minute of last uses; a store that is away loses them.
      const lastUses = keyUses.write().catch((error: unknown) => logger.debug({ error: String(error) }, "keys.uses_lost"));
      await Promise.all([lastUses, supervisor.stop(graceMs), poller.stop(graceMs), dispatcher.stop(graceMs), activity.stop(), kept]);
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
      placing.close();
      await poller.sources.close();
    },
  };
}

/** Creates the poller, which starts all transitions, and the reloader of its sources. */
function createPolling(
  { config, opened: { store, shared, clock }, keyring: { secretBox }, sources, logger, metrics, random }: EngineDependencies,
  options: Pick<PollerOptions, "listeners" | "mayStart" | "localTrouble" | "isDisabled" | "onPoll" | "onSourceChange" | "onShared">,
): Pick<Parts, "poller" | "reloader"> {
  const outlivesStore = shared !== null;
  const schedule = config.polling.freshness;
  const poller = new Poller({ sources: sources.setups, store, clock, logger, metrics, random, outlivesStore, schedule, ...options });
  return { poller, reloader: new SourceReloader({ store, secretBox, logger, poller, ...sources }) };
}

/** Creates what places calls, and what settles placings. */
function createPlacing(
  { config, opened: { store, shared, clock }, keyring: { secretBox, keyedHash }, logger, metrics }: EngineDependencies,
  {
    drafts,
    publication,
    idempotency,
  }: {
    readonly drafts: WatchDrafts;
    readonly publication: WatchPublication & { readonly poller: Poller };
    readonly idempotency: Idempotency;
  },
): { readonly placing: CallPlacer; readonly settler: PlacingSettler } {
  const keys = new PlacingKeys({ store, secretBox, clock, keyedHash, retentionDays: config.retentionDays });
  const common = { store, keys, drafts, secretBox, clock, logger, metrics };
  const settler = new PlacingSettler({ ...common, ...publication, idempotency, isAlone: shared === null });
  return { placing: new CallPlacer({ ...common, settler, quotas: config.limits, poller: publication.poller }), settler };
}

/** Age at which the target of a webhook is read again, because another instance may have changed it. An attempt may use settings of at most a second before. */
const sharedTargetMaxAgeMs = 500;

/** Creates the dispatcher, which sends webhooks, and the operations that send one on request. */
function createDelivery(
  { config, opened: { store, shared, clock }, keyring: { secretBox }, sender, logger, metrics, random }: EngineDependencies,
  options: Pick<Parts, "poller" | "idempotency"> &
    Required<Pick<DispatcherOptions, "listeners" | "mayStart" | "localTrouble">> & { readonly isDisabled: (accountId: string) => boolean },
): Pick<Parts, "dispatcher" | "limits" | "budget" | "manualDelivery"> {
  const { poller, idempotency, listeners, mayStart, localTrouble, isDisabled } = options;
  const { delivery, api, version } = config;
  const limits = new DeliveryLimits({ clock, ...delivery });
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
    isDisabled,
    random,
  });
  const budget = new ManualBudget({ maxPerAccount: config.limits.manualMaxInFlight, maxInAll: config.delivery.manualMaxInFlight });
  return { dispatcher, limits, budget, manualDelivery: new ManualSender({ store, idempotency, clock, dispatcher, listeners, budget }) };
}

/** Creates the coordinator of this instance on a shared database; `null` if the process has the store alone. */
function createInstances(
  { config, opened: { store, shared, clock }, keyring: { secretBox }, logger, metrics, leaseTimes }: EngineDependencies,
  options: Pick<Parts, "poller" | "reloader" | "dispatcher" | "limits" | "budget" | "waiters" | "sourceEvents" | "accountStates">,
): InstanceCoordinator | null {
  if (shared === null) return null;
  const { poller, reloader, dispatcher, limits, budget, waiters, sourceEvents, accountStates } = options;
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
    manualBudget: budget,
    waiters,
    refreshSources: () => reloader.refresh(),
    followAccounts: (disabledIds) => accountStates.follow(disabledIds),
    peerNotifier: shared.peerNotifier,
    onInstances: (count) => metrics.instances(count),
    secretBox,
    onSourceChange: (health, change) => sourceEvents.publish(health, change),
  });
}

function addLoops(
  supervisor: Supervisor,
  parts: Pick<
    Parts,
    "poller" | "reloader" | "dispatcher" | "coordinator" | "cleaner" | "recount" | "freshness" | "sweeper" | "accountStates" | "overdue"
  >,
): void {
  const { poller, reloader, dispatcher, coordinator, cleaner, recount, freshness, sweeper, accountStates, overdue } = parts;
  supervisor.add({ name: "poller", everyMs: poller.tickEveryMs, tick: () => poller.tick() });
  if (coordinator === null) {
    supervisor.add({ name: "dispatcher", everyMs: dispatcher.tickEveryMs, tick: () => dispatcher.tick() });
    supervisor.add({ name: "accounts", everyMs: accountStates.tickEveryMs, tick: () => accountStates.refresh() });
    supervisor.add({ name: "sources", everyMs: reloader.tickEveryMs, tick: () => reloader.refresh() });
  } else {
    // The sweep wakes the dispatcher when a delivery is due, and the reloader when sources were set, and reads the accounts.
    supervisor.add({ name: "dispatcher", everyMs: dispatcher.tickEveryMs, tick: () => dispatcher.maintain() });
    supervisor.add({ name: "heartbeat", everyMs: coordinator.heartbeatEveryMs, tick: () => coordinator.membership.heartbeat() });
    supervisor.add({ name: "sweep", everyMs: coordinator.sweepEveryMs, tick: () => coordinator.sweep() });
  }
  supervisor.add({ name: "cleaner", everyMs: cleaner.tickEveryMs, tick: () => cleaner.tick() });
  supervisor.add({ name: "marks", everyMs: sweeper.tickEveryMs, tick: () => sweeper.tick() });
  supervisor.add({ name: "overdue", everyMs: overdue.tickEveryMs, tick: () => overdue.tick() });
  supervisor.add({ name: "freshness", everyMs: freshness.tickEveryMs, tick: () => freshness.tick() });
  supervisor.add({ name: "recount", everyMs: recount.tickEveryMs, tick: () => recount.tick() });
}
