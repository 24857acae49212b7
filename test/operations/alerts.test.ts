import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { freePort } from "../../src/cli/demo/service-process.ts";
import { collectingReceiver } from "../harness/receivers/collecting-receiver.ts";
import { fastPolling, signingSecret } from "../harness/service/environment.ts";
import { eventually } from "../harness/service/eventually.ts";
import { scrape, valueOf } from "../harness/service/metrics-scrape.ts";
import { startService } from "../harness/service/service.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

const run = promisify(execFile);
const rules = new URL("../../src/operations/alerts.yml", import.meta.url).pathname;

const hasPromtool = spawnSync("promtool", ["--version"]).status === 0;
if (!hasPromtool) process.stderr.write("NO promtool (apt-get install prometheus): THE TESTS OF THE ALERT RULES DO NOT RUN\n");

/** Values of series, minute by minute, in the notation of promtool (`0x5`: 0 six times). */
type Series = Readonly<Record<string, string>>;

/** Asks Prometheus which of the rules fire at a minute, and expects it to be the alert with these labels, or no alert. */
async function expectAlert(alert: string, series: Series, minute: number, labels: Readonly<Record<string, string>> | null): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "ringback-alerts-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const test = {
    rule_files: [rules],
    tests: [
      {
        interval: "1m",
        input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
        // By `ALERTS`, because `alert_rule_test` would repeat the texts of the rules.
        promql_expr_test: [
          {
            expr: `count by (alertname) (ALERTS{alertname="${alert}", alertstate="firing"${Object.entries(labels ?? {})
              .map(([name, value]) => `, ${name}="${value}"`)
              .join("")}})`,
            eval_time: `${minute}m`,
            exp_samples: labels === null ? [] : [{ labels: `{alertname="${alert}"}`, value: 1 }],
          },
        ],
      },
    ],
  };
  const file = join(folder, "test.yml");
  // JSON is YAML.
  await writeFile(file, JSON.stringify(test));
  await expect(run("promtool", ["test", "rules", file])).resolves.toMatchObject({ stderr: "" });
}

describe.runIf(hasPromtool)("the alert rules", () => {
  test("are valid", async () => {
    expect((await run("promtool", ["check", "rules", rules])).stdout).toContain("SUCCESS");
  });

  test.each<[string, Series, number, Series]>([
    ["RingbackDown", { up: "1x10" }, 5, { severity: "page" }],
    ["RingbackDeliveriesStuck", { ringback_oldest_due_delivery_seconds: "0 30 90 150 210" }, 4, { severity: "page" }],
    ["RingbackPollsStuck", { ringback_oldest_due_poll_seconds: "0 30 90 150 210" }, 4, { severity: "page" }],
    ["RingbackDatabaseAway", { 'ringback_store_reachable{instance="a"}': "1 0x5", 'ringback_store_reachable{instance="b"}': "1x6" }, 4, {}],
    ["RingbackSourceOut", { 'ringback_source_state{source="default",state="suspended"}': "0 1x9" }, 5, { source: "default" }],
    ["RingbackSourceOut", { 'ringback_source_state{source="x",state="circuit_open"}': "0 1x9" }, 5, { state: "circuit_open" }],
    ["RingbackIntervalStretched", { 'ringback_poll_interval_seconds{source="default"}': "2 12x20" }, 15, { source: "default" }],
    ["RingbackClockSkew", { 'ringback_clock_skew_seconds{source="default"}': "-90x20" }, 15, { severity: "ticket" }],
    ["RingbackEndpointDisabled", { 'ringback_endpoints_disabled_total{reason="gone"}': "0x5 1x5" }, 7, { reason: "gone" }],
    ["RingbackAddressBlocked", { ringback_blocked_addresses_total: "0x5 1x5" }, 7, {}],
    [
      "RingbackCommitsSlow",
      {
        'ringback_commit_seconds_bucket{le="0.1"}': "0+90x30",
        'ringback_commit_seconds_bucket{le="0.25"}': "0+100x30",
        'ringback_commit_seconds_bucket{le="+Inf"}': "0+100x30",
      },
      20,
      { severity: "ticket" },
    ],
    ["RingbackLogLinesDropped", { ringback_log_lines_dropped_total: "0x5 7x5" }, 7, {}],
    ["RingbackCountersCorrected", { ringback_counter_corrections_total: "0x5 1x5" }, 7, {}],
  ])("%s fires", async (alert, series, minute, labels) => {
    await expectAlert(alert, series, minute, labels);
  });

  test.each<[string, Series, number]>([
    ["RingbackDown", { 'ringback_build_info{version="1"}': "1x10" }, 5],
    ["RingbackDeliveriesStuck", { ringback_oldest_due_delivery_seconds: "0 30 90 10 0" }, 4],
    ["RingbackDatabaseAway", { ringback_store_reachable: "1 0 1 1" }, 3],
    ["RingbackSourceOut", { 'ringback_source_state{source="default",state="slowed"}': "1x9" }, 5],
    ["RingbackEndpointDisabled", { 'ringback_endpoints_disabled_total{reason="gone"}': "0x5 1 1x90" }, 90],
    // A counter that begins at 1 has no increase: why the service shows it with 0 from the first scrape.
    ["RingbackEndpointDisabled", { 'ringback_endpoints_disabled_total{reason="gone"}': "_x5 1x5" }, 7],
  ])("%s does not fire without cause", async (alert, series, minute) => {
    await expectAlert(alert, series, minute, null);
  });

  test("the first 410 of a service is alerted, from its first scrape on", async () => {
    // Timeline: the first scrape, one webhook that is answered 410, the second scrape. Prometheus reads what the service said.
    const simulator = await simulatedUpstream();
    const receiver = await collectingReceiver(() => 410);
    const service = await startService({
      environment: { ...simulator.environment("polyai-legacy"), ...fastPolling, METRICS_PORT: String(await freePort()) },
    });
    const read = async () =>
      valueOf(await scrape(service.service.metricsPort ?? 0), "ringback_endpoints_disabled_total", { reason: "gone" });
    const first = await read();
    const callSid = simulator.trigger({ scenario: [{ atMs: 0, status: "queued" }] });
    await service.client.post("/v1/watches", { call_sid: callSid, callback_url: receiver.url, signing_secret: signingSecret });
    const second = await eventually(read, (value) => value !== first);
    const series = { 'ringback_endpoints_disabled_total{reason="gone"}': `${first} ${second} ${second}` };
    await expectAlert("RingbackEndpointDisabled", series, 2, { reason: "gone" });
  });
});

test("every metric of the rules is one that the service shows", async () => {
  const service = await startService({ environment: { METRICS_PORT: String(await freePort()) } });
  const shown = new Set((await scrape(service.service.metricsPort ?? 0)).map(({ name }) => name.replace(/_(?:count|sum)$/, "")));
  const used = (await readFile(rules, "utf8")).match(/ringback_\w+/g) ?? [];
  expect(used.length).toBeGreaterThan(10);
  // Without a poll there is no source that has them.
  const later = new Set(["ringback_poll_interval_seconds", "ringback_source_state", "ringback_clock_skew_seconds"]);
  expect(used.map((name) => name.replace(/_bucket$/, "")).filter((name) => !shown.has(name) && !later.has(name))).toEqual([]);
});
