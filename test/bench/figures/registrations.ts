import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Pool } from "undici";
import { ServiceProcess, freePort } from "../../../src/cli/demo/service-process.ts";
import { startChild } from "../child.ts";
import type { Figure } from "../figure.ts";

const key = "bench-key-bench-key-bench-key";
const concurrency = 128;
const rounds = 3;
const batchSize = 1000;
/** So many batches are under way at once. */
const batches = 4;

/** Registrations a second with a durable commit each, against an empty POST route of the same server; and in batches. */
export async function measureRegistrations(roundMs: number): Promise<readonly Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), "ringback-bench-"));
  const empty = await startChild("./empty-route.ts");
  const service = new ServiceProcess("bench", {
    port: await freePort(),
    key,
    environment: {
      DATABASE_URL: `sqlite:${join(folder, "ringback.db")}`,
      METRICS_PORT: "0",
      // Nothing is polled in earnest: what is measured is registering.
      POLYAI_BASE_URL: "http://127.0.0.1:9",
      POLYAI_AUTH_TOKEN: "bench",
      POLYAI_MAX_POLLS_PER_SECOND: "1000",
      CALLBACK_ALLOW: "127.0.0.1/32",
      CALLBACK_ALLOW_HTTP: "true",
      API_MAX_PER_SECOND: "0",
      ACCOUNT_MAX_ACTIVE_WATCHES: "0",
      LOG_LEVEL: "silent",
    },
  });
  try {
    await service.start(AbortSignal.timeout(30_000));
    const ratios: number[] = [];
    let last = { bare: 0, whole: 0 };
    for (let round = 0; round < rounds; round++) {
      const bare = await post(`http://127.0.0.1:${empty.port}`, `bare-${round}`, roundMs);
      const whole = await post(service.url, `whole-${round}`, roundMs);
      last = { bare, whole };
      ratios.push(whole / bare);
    }
    const perSecond = await postBatches(service.url, roundMs);
    return [single(ratios.toSorted((a, b) => a - b)[Math.floor(rounds / 2)] ?? 0, last), batch(perSecond)];
  } finally {
    await service[Symbol.asyncDispose]();
    await empty.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

function single(ratio: number, last: { readonly bare: number; readonly whole: number }): Figure {
  return {
    name: "registrations/s, one a POST with a durable commit, against an empty POST route",
    value: ratio,
    shown: `${ratio.toFixed(2)} (${Math.round(last.whole)} against ${Math.round(last.bare)} a second in the last of ${rounds} rounds)`,
    bar: ">= 0.50",
    met: ratio >= 0.5,
  };
}

function batch(perSecond: number): Figure {
  return {
    name: `registrations/s, ${batchSize} a batch`,
    value: perSecond,
    shown: `${Math.round(perSecond)} a second`,
    bar: ">= 20000 a second",
    met: perSecond >= 20_000,
  };
}

const watchOf = (sid: string) => ({ call_sid: `OUT-${sid}`, callback_url: "http://127.0.0.1:9/hook" });

async function post(origin: string, name: string, roundMs: number): Promise<number> {
  const pool = new Pool(origin, { connections: concurrency, pipelining: 1, allowH2: false });
  const startedMs = performance.now();
  let count = 0;
  const loop = async (): Promise<void> => {
    while (performance.now() - startedMs < roundMs) {
      await send(pool, "/v1/watches", watchOf(`${name}-${count++}`), 201);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, loop));
  await pool.close();
  return (count / (performance.now() - startedMs)) * 1000;
}

async function postBatches(origin: string, roundMs: number): Promise<number> {
  const pool = new Pool(origin, { connections: batches, pipelining: 1, allowH2: false });
  const startedMs = performance.now();
  let count = 0;
  const loop = async (): Promise<void> => {
    while (performance.now() - startedMs < roundMs) {
      const watches = Array.from({ length: batchSize }, () => watchOf(`batch-${count++}`));
      await send(pool, "/v1/watches/batch", { watches }, 200);
    }
  };
  await Promise.all(Array.from({ length: batches }, loop));
  await pool.close();
  return (count / (performance.now() - startedMs)) * 1000;
}

async function send(pool: Pool, path: string, body: unknown, expected: number): Promise<void> {
  const answer = await pool.request({
    path,
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  await answer.body.dump();
  if (answer.statusCode !== expected) throw new Error(`${path} was answered ${answer.statusCode}`);
}
