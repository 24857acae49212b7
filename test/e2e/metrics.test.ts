import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { expect, onTestFinished, test } from "vitest";
import { placingOutcomes } from "../../src/domain/calls/placing.ts";
import { watchStatuses } from "../../src/domain/calls/watch.ts";
import { pollFailures } from "../../src/domain/calls/call.ts";
import { attemptDecisions } from "../../src/domain/deliveries/attempt.ts";
import { deliveryStatuses } from "../../src/domain/deliveries/delivery.ts";
import { eventTypes } from "../../src/domain/events/event.ts";
import { freePort } from "../../src/cli/demo/service-process.ts";
import { startReceiver } from "../../src/cli/receiver/receiver.ts";
import { scrape, valueOf } from "../harness/service/metrics-scrape.ts";
import { fastPolling, signingSecret } from "../harness/service/environment.ts";
import { startService } from "../harness/service/service.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

const isProven = { source: "default", state: "ok" };

/** Name and labels of everything the contract names; a histogram is its count. */
const promised: Readonly<Record<string, readonly string[]>> = {
  ringback_watches: ["status"],
  ringback_polls_total: ["outcome"],
  ringback_placings_total: ["outcome"],
  ringback_poll_lag_seconds_count: [],
  ringback_poll_interval_seconds: ["source"],
  ringback_detection_delay_seconds: ["source", "schedule"],
  ringback_source_state: ["source", "state"],
  ringback_events_total: ["type"],
  ringback_deliveries: ["status"],
  ringback_endpoints: ["state"],
  ringback_log_lines_dropped_total: [],
  ringback_unknown_statuses_total: ["source"],
  ringback_delivery_attempts_total: ["outcome"],
  ringback_delivery_latency_seconds_count: [],
  ringback_oldest_due_delivery_seconds: [],
  ringback_oldest_due_poll_seconds: [],
  ringback_endpoints_disabled_total: ["reason"],
  ringback_blocked_addresses_total: [],
  ringback_commit_seconds_count: [],
  ringback_store_bytes: [],
  ringback_store_reachable: [],
  ringback_instances: [],
  ringback_clock_skew_seconds: ["source"],
  ringback_http_request_seconds_count: ["route", "status"],
  ringback_build_info: ["version"],
  ringback_clock_steps_total: [],
  ringback_counter_corrections_total: [],
  process_cpu_seconds_total: [],
  process_resident_memory_bytes: [],
  nodejs_eventloop_lag_seconds: [],
  nodejs_heap_size_used_bytes: [],
};

const zero = (values: readonly string[]) => values.map((value) => [value, 0]);

test("every series whose labels are a closed set is 0 at the first scrape", async () => {
  const metricsPort = await freePort();
  await startService({ environment: { METRICS_PORT: String(metricsPort) } });
  const samples = await scrape(metricsPort);
  const seriesOf = (name: string, label: string) =>
    samples.filter((sample) => sample.name === name).map(({ labels, value }) => [labels[label], value]);
  expect(seriesOf("ringback_polls_total", "outcome")).toEqual(
    zero(["unchanged", "transition", "not_found", "rejected", "unauthorized", "rate_limited", ...pollFailures]),
  );
  expect(seriesOf("ringback_placings_total", "outcome")).toEqual(zero(placingOutcomes));
  expect(seriesOf("ringback_events_total", "type")).toEqual(zero(eventTypes));
  expect(seriesOf("ringback_delivery_attempts_total", "outcome")).toEqual(zero(attemptDecisions));
  expect(seriesOf("ringback_endpoints_disabled_total", "reason")).toEqual(zero(["gone", "failing"]));
  expect(seriesOf("ringback_watches", "status")).toEqual(zero(watchStatuses));
  expect(seriesOf("ringback_deliveries", "status")).toEqual(zero(deliveryStatuses));
  expect(seriesOf("ringback_endpoints", "state")).toEqual(zero(["enabled", "paused", "disabled"]));
  for (const name of ["ringback_clock_steps_total", "ringback_counter_corrections_total", "ringback_blocked_addresses_total"])
    expect(valueOf(samples, name), name).toBe(0);
  for (const name of [
    "ringback_poll_lag_seconds_count",
    "ringback_delivery_latency_seconds_count",
    "ringback_delivery_latency_seconds_sum",
  ])
    expect(valueOf(samples, name), name).toBe(0);
});

test("every promised metric is there, with its labels, and says what happened", async () => {
  // Setup: one call that is delivered twice and one whose receiver is gone.
  const simulator = await simulatedUpstream();
  const settled = Promise.withResolvers<void>();
  let webhooks = 0;
  const receiver = await startReceiver({
    secrets: [signingSecret],
    answers: ({ path }) => (path === "/gone" ? 410 : 204),
    onDelivery: () => (webhooks += 1) === 3 && settled.resolve(),
  });
  onTestFinished(() => receiver.close());
  const metricsPort = await freePort();
  const service = await startService({
    database: "sqlite-file",
    environment: { ...simulator.environment("polyai-legacy"), ...fastPolling, METRICS_PORT: String(metricsPort) },
  });
  const scenario = [
    { atMs: 0, status: "queued" },
    { atMs: 500, status: "success" },
  ];
  const watch = (callSid: string, path: string) =>
    service.client.post("/v1/watches", {
      call_sid: callSid,
      callback_url: `${receiver.url}${path}`,
      signing_secret: signingSecret,
      metadata: { lead_id: "a-lead-of-ours" },
    });
  const callSid = simulator.trigger({ scenario });
  await watch(callSid, "/crm");
  await watch(simulator.trigger({ scenario }), "/gone");
  await settled.promise;
  let samples = await scrape(metricsPort);
  // The state of a source is noted once a second.
  const isOver = () =>
    valueOf(samples, "ringback_deliveries", { status: "delivered" }) === 2 && valueOf(samples, "ringback_source_state", isProven) === 1;
  while (!isOver()) samples = await scrape(metricsPort);

  for (const [name, labels] of Object.entries(promised)) {
    const found = samples.filter((sample) => sample.name === name);
    expect(found.length, name).toBeGreaterThan(0);
    for (const sample of found) expect(Object.keys(sample.labels), name).toEqual(labels);
    for (const sample of found) expect(sample.value, name).toBeGreaterThanOrEqual(name === "ringback_clock_skew_seconds" ? -2 : 0);
  }
  expect(samples.filter(({ name }) => name === "ringback_watches").map(({ labels, value }) => [labels["status"], value])).toEqual([
    ["active", 0],
    ["completed", 1],
    ["ended", 0],
    ["canceled", 1],
  ]);
  const expected: readonly [string, Readonly<Record<string, string>>, number][] = [
    ["ringback_events_total", { type: "call.success" }, 1],
    ["ringback_delivery_attempts_total", { outcome: "delivered" }, 2],
    ["ringback_delivery_attempts_total", { outcome: "gone" }, 1],
    ["ringback_endpoints_disabled_total", { reason: "gone" }, 1],
    ["ringback_delivery_latency_seconds_count", {}, 2],
    ["ringback_source_state", { source: "default", state: "suspended" }, 0],
    ["ringback_poll_interval_seconds", { source: "default" }, 0.1],
    ["ringback_detection_delay_seconds", { source: "sandbox", schedule: "learned" }, 0.25],
    ["ringback_detection_delay_seconds", { source: "sandbox", schedule: "even" }, 0.25],
    ["ringback_instances", {}, 1],
    ["ringback_store_reachable", {}, 1],
    ["ringback_build_info", {}, 1],
    ["ringback_http_request_seconds_count", { route: "/v1/watches", status: "201" }, 2],
  ];
  for (const [name, labels, value] of expected) expect(valueOf(samples, name, labels), `${name} ${JSON.stringify(labels)}`).toBe(value);
  expect(valueOf(samples, "ringback_store_bytes")).toBeGreaterThan(4096);

  // The registration itself commits the event of a call that has ended, and a test commits its own.
  const late = await watch(callSid, "/late");
  await service.client.post(`/v1/endpoints/${String(late.body["endpoint_id"])}/test`);
  samples = await scrape(metricsPort);
  for (const [type, count] of [
    ["call.success", 2],
    ["endpoint.test", 1],
  ] as const)
    expect(valueOf(samples, "ringback_events_total", { type }), type).toBe(count);
  expect(JSON.stringify(samples)).not.toMatch(/OUT-|http:|127\.0\.0\.1|wch_|ep_|acc_|a-lead-of-ours|whsec_/);
});

test("an upstream whose clock is two minutes away makes the service degraded, and ready", async () => {
  const upstream = createServer({}, (_request, response) => {
    response.sendDate = false;
    const date = new Date(Date.now() - 120_000).toUTCString();
    response.writeHead(200, { "content-type": "application/json", date }).end('{"status":"queued"}');
  }).listen(0, "127.0.0.1");
  await once(upstream, "listening");
  onTestFinished(() => upstream.close() && upstream.closeAllConnections());
  const { port } = upstream.address() as AddressInfo;
  const metricsPort = await freePort();
  const upstreamOf = { POLYAI_BASE_URL: `http://127.0.0.1:${port}`, POLYAI_AUTH_TOKEN: "any" };
  const environment = { ...upstreamOf, ...fastPolling, METRICS_PORT: String(metricsPort) };
  const service = await startService({ environment });
  const { body } = await service.client.post("/v1/watches", { call_sid: "OUT-1", callback_url: "http://127.0.0.1:9/" });
  await service.client.get(`/v1/watches/${String(body["id"])}?wait=10&sequence=0`);
  expect(await service.client.get("/readyz")).toMatchObject({
    status: 200,
    body: { ready: true, degraded: ["clock: over 60 s from that of source default"] },
  });
  const skew = (await scrape(metricsPort)).find(({ name }) => name === "ringback_clock_skew_seconds");
  expect(skew?.value).toBeGreaterThan(118);
  expect(skew?.value).toBeLessThan(122);
});
