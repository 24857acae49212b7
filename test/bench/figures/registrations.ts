import { Pool } from "undici";
import { startChild } from "../child.ts";
import type { Figure } from "../figure.ts";
import { apiKey } from "../../harness/service/environment.ts";
import { benchDatabase, benchService } from "../bench-service.ts";

const concurrency = 128;
const rounds = 3;
const batchSize = 1000;
/** Batches under way at once. */
const batches = 4;

/** Registrations a second with a durable commit each, against an empty POST route of the same server; and in batches. */
export async function measureRegistrations(roundMs: number): Promise<readonly Figure[]> {
  await using database = await benchDatabase();
  await using empty = await startChild("./empty-route.ts");
  // Nothing is polled in earnest, because registrations are measured.
  await using service = await benchService({ DATABASE_URL: database.url, POLYAI_BASE_URL: "http://127.0.0.1:9", LOG_LEVEL: "silent" });
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
}

function single(ratio: number, last: { readonly bare: number; readonly whole: number }): Figure {
  return {
    name: "registrations/s, one a POST with a durable commit, against an empty POST route",
    value: ratio,
    shown: `${ratio.toFixed(2)} (${Math.round(last.whole)} against ${Math.round(last.bare)} a second in the last of ${rounds} rounds)`,
    bar: ">= 0.70",
    met: ratio >= 0.7,
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
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  await answer.body.dump();
  if (answer.statusCode !== expected) throw new Error(`${path} was answered ${answer.statusCode}`);
}
