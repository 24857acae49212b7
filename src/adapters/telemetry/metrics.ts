import { pollFailures } from "../../domain/calls/call.ts";
import { placingOutcomes } from "../../domain/calls/placing.ts";
import { watchStatuses } from "../../domain/calls/watch.ts";
import { attemptDecisions } from "../../domain/deliveries/attempt.ts";
import { deliveryStatuses } from "../../domain/deliveries/delivery.ts";
import { eventTypes } from "../../domain/events/event.ts";
import { Counter, Gauge, Registry, collectDefaultMetrics } from "prom-client";
import type { StoreStats } from "../../ports/stores/service-store.ts";
import type { Metrics } from "../../ports/telemetry.ts";
import { LabelledHistograms, PlainCounter, PlainHistogram } from "./plain-series.ts";

export type PrometheusMetrics = Metrics & {
  /** Sets the number of instances that share the database, including this one. */
  instances(count: number): void;
  /** Returns the metrics in the Prometheus text format. Reads the stats of the store on each call. */
  render(): Promise<{ readonly contentType: string; readonly body: string }>;
};

/** Values that are read at each scrape instead of being counted as events happen. */
export type ScrapedStats = {
  /** `null` if the store cannot be reached. */
  readonly store: StoreStats | null;
  readonly oldestDuePollMs: number;
  /** Number of log lines that were lost since the start. */
  readonly lostLogLines: number;
  readonly nowMs: number;
};

const fastBuckets = [0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const slowBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 36_000, 86_400, 345_600];

const pollOutcomes = ["unchanged", "transition", "not_found", "rejected", "unauthorized", "rate_limited", ...pollFailures];
const disablingReasons = ["gone", "failing"];

/**
 * `process_*` and `nodejs_*`. One registry for the life of the process, made at the first scrape, because its monitors of
 * the event loop and of collections cannot be stopped. They do not keep the process alive.
 */
let ofProcess: Registry | null = null;

function processRegistry(): Registry {
  if (ofProcess === null) collectDefaultMetrics({ register: (ofProcess = new Registry()) });
  return ofProcess;
}

/** Creates the metrics. Names follow the Prometheus naming practice: base units, `_total` on counters, labels from closed sets. */
export function createMetrics(version: string, scrape: () => Promise<ScrapedStats>): PrometheusMetrics {
  const registers = [new Registry()];
  const [registry] = registers as [Registry];
  const counter = (name: string, help: string) => new Counter({ name, help, registers });
  const counterBy = (label: string, values: readonly string[], name: string, help: string) =>
    new PlainCounter(registry, { name, help, label }, values);
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge<L>({ name, help, labelNames, registers });
  const histogram = (name: string, help: string, bounds: readonly number[]) => new PlainHistogram(bounds).registerAs(registry, name, help);

  const watches = gauge("ringback_watches", "Watches by status.", ["status"]);
  const deliveries = gauge("ringback_deliveries", "Deliveries by status.", ["status"]);
  const endpoints = gauge("ringback_endpoints", "Endpoints by their own state; a pause that an answer asked for is not one.", ["state"]);
  const oldestDueDelivery = gauge(
    "ringback_oldest_due_delivery_seconds",
    "How long the oldest due delivery of an enabled endpoint has been due; page on this.",
  );
  const oldestDuePoll = gauge("ringback_oldest_due_poll_seconds", "How long the oldest due poll has been due.");
  const storeBytes = gauge("ringback_store_bytes", "Size of the database.");
  const storeReachable = gauge("ringback_store_reachable", "1 while the database answers, 0 while it cannot be reached.");
  const instances = gauge("ringback_instances", "Instances sharing the database.");
  const buildInfo = gauge("ringback_build_info", "Always 1; the version is a label.", ["version"]);
  const pollInterval = gauge("ringback_poll_interval_seconds", "The poll interval in force.", ["source"]);
  const detectionDelay = gauge(
    "ringback_detection_delay_seconds",
    "The expected time from a change to the poll that observes it, as polled and if all calls were polled alike.",
    ["source", "schedule"],
  );
  const sourceState = gauge("ringback_source_state", "1 for the state a source is in, 0 for the others.", ["source", "state"]);
  const clockSkew = gauge("ringback_clock_skew_seconds", "Our clock less the upstream's, by its Date header.", ["source"]);
  const polls = counterBy("outcome", pollOutcomes, "ringback_polls_total", "Polls by outcome.");
  const unknownStatuses = counterBy("source", [], "ringback_unknown_statuses_total", "Answers whose status is in no status map.");
  const placings = counterBy("outcome", placingOutcomes, "ringback_placings_total", "Calls that were asked for, by outcome.");
  const pollLag = histogram("ringback_poll_lag_seconds", "From a poll's due time to its sending.", fastBuckets);
  const events = counterBy("type", eventTypes, "ringback_events_total", "Events committed, by type.");
  const attempts = counterBy("outcome", attemptDecisions, "ringback_delivery_attempts_total", "Delivery attempts by outcome.");
  const latency = histogram("ringback_delivery_latency_seconds", "From a transition's observation to its 2xx.", slowBuckets);
  const disabled = counterBy("reason", disablingReasons, "ringback_endpoints_disabled_total", "Endpoints disabled, by reason.");
  const blocked = counter("ringback_blocked_addresses_total", "Connections refused by the address guard.");
  const commits = histogram("ringback_commit_seconds", "Duration of a group commit.", fastBuckets);
  const clockSteps = counter("ringback_clock_steps_total", "Steps of the wall clock over 30 s.");
  const lostLogLines = counter("ringback_log_lines_dropped_total", "Log lines that could not be written.");
  const corrections = counter(
    "ringback_counter_corrections_total",
    "Counters of watches, deliveries and endpoints that differed from the rows and were corrected; each is a bug.",
  );
  const requests = new LabelledHistograms(
    registry,
    { name: "ringback_http_request_seconds", help: "API requests by route and status.", labels: ["route", "status"] },
    fastBuckets,
  );

  buildInfo.set({ version }, 1);
  let instanceCount = 1;
  /** Sets the gauges of the store. Removes them while the store cannot be reached, because the last values may be outdated. */
  const showStore = (store: StoreStats | null, nowMs: number): void => {
    storeReachable.set(store === null ? 0 : 1);
    if (store === null) {
      for (const labelled of [watches, deliveries, endpoints]) labelled.reset();
      for (const single of [oldestDueDelivery, storeBytes, instances]) single.remove();
      return;
    }
    for (const status of watchStatuses) watches.set({ status }, store.watchesByStatus[status] ?? 0);
    for (const status of deliveryStatuses) deliveries.set({ status }, store.deliveriesByStatus[status] ?? 0);
    for (const [state, count] of Object.entries(store.endpointsByState)) endpoints.set({ state }, count);
    oldestDueDelivery.set(store.oldestDueDeliveryAtMs === null ? 0 : Math.max(0, nowMs - store.oldestDueDeliveryAtMs) / 1000);
    storeBytes.set(store.storeBytes);
    instances.set(instanceCount);
  };
  return {
    pollFinished(outcome, lagMs) {
      polls.inc(outcome);
      pollLag.observe(lagMs / 1000);
    },
    unknownStatus: (source) => unknownStatuses.inc(source),
    placingFinished: (outcome) => placings.inc(outcome),
    pollInterval: (source, intervalMs) => pollInterval.set({ source }, intervalMs / 1000),
    detectionDelay: (source, schedule, delayMs) => detectionDelay.set({ source, schedule }, delayMs / 1000),
    sourceState(source, state) {
      unknownStatuses.begin(source);
      for (const name of ["ok", "unproven", "slowed", "suspended", "circuit_open"])
        sourceState.set({ source, state: name }, name === state ? 1 : 0);
    },
    eventCommitted: (type) => events.inc(type),
    attemptFinished: (outcome) => attempts.inc(outcome),
    delivered: (latencyMs) => latency.observe(latencyMs / 1000),
    endpointDisabled: (reason) => disabled.inc(reason),
    addressBlocked: () => blocked.inc(),
    committed: (durationMs) => commits.observe(durationMs / 1000),
    clockSkew: (source, skewMs) => clockSkew.set({ source }, skewMs / 1000),
    wallClockStepped: () => clockSteps.inc(),
    counterCorrected: () => corrections.inc(),
    instances(count) {
      instanceCount = count;
    },
    httpAnswered: (route, status, durationMs) => requests.observe(route, String(status), durationMs / 1000),
    async render() {
      const { store, oldestDuePollMs, lostLogLines: lost, nowMs } = await scrape();
      lostLogLines.reset();
      lostLogLines.inc(lost);
      showStore(store, nowMs);
      oldestDuePoll.set(oldestDuePollMs / 1000);
      return { contentType: registry.contentType, body: (await registry.metrics()) + (await processRegistry().metrics()) };
    },
  };
}
