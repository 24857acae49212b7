import { setTimeout } from "node:timers/promises";
import { Pool } from "undici";
import { startChild } from "../child.ts";
import type { Figure } from "../figure.ts";
import { alternate, median } from "../machine/alternation.ts";
import { startPollerAlone } from "../poller-alone.ts";

/** As many as the poller has on the wire. */
const concurrency = 128;
const calls = 1000;

/** Polls a second through the whole poller against a bare `Pool.request` and `JSON.parse`, same concurrency, same upstream, in turn. */
export async function measurePollerAgainstLoop(roundMs: number, rounds: number): Promise<Figure> {
  await using upstream = await startChild("./upstream.ts");
  const baseUrl = `http://127.0.0.1:${upstream.port}/steady`;
  const measured = await alternate(
    rounds,
    new Map([
      ["bare", () => pollBare(baseUrl, roundMs)],
      ["whole", () => pollWhole(baseUrl, roundMs)],
    ]),
  );
  const [bare = [], whole = []] = [measured.get("bare"), measured.get("whole")];
  const ratio = median(whole.map((perSecond, round) => perSecond / (bare[round] ?? Number.NaN)));
  return {
    name: "polls/s, whole poller against a bare loop",
    value: ratio,
    shown: `${ratio.toFixed(2)} (${Math.round(median(whole))} against ${Math.round(median(bare))} a second, medians of ${rounds})`,
    bar: ">= 0.85",
    met: ratio >= 0.85,
  };
}

async function pollBare(baseUrl: string, roundMs: number): Promise<number> {
  const { origin, pathname } = new URL(baseUrl);
  const pool = new Pool(origin, { connections: concurrency, pipelining: 1, allowH2: false });
  const endMs = performance.now() + roundMs;
  let count = 0;
  const loop = async (): Promise<void> => {
    while (performance.now() < endMs) {
      const { body } = await pool.request({ path: `${pathname}/v1/outbound-calling/OUT-${count % calls}/status`, method: "GET" });
      JSON.parse(await body.text());
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, loop));
  await pool.close();
  return (count / roundMs) * 1000;
}

async function pollWhole(baseUrl: string, roundMs: number): Promise<number> {
  await using poller = await startPollerAlone(baseUrl, { calls, maxPollsPerSecond: 1_000_000, intervalMinMs: 1, intervalMaxMs: 10 });
  await setTimeout(roundMs);
  return (poller.polls() / roundMs) * 1000;
}
