import { once } from "node:events";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { apiKey } from "../harness/service/environment.ts";
import type { ServiceProcess } from "../../src/cli/demo/service-process.ts";
import { benchDatabase, benchService, createAccount } from "./bench-service.ts";
import { printFigures } from "./figure.ts";
import type { Figure } from "./figure.ts";
import { threadTimes } from "./machine/processor-time.ts";

/** Events that one measurement waits for: each watch of the sandbox has three. */
const eventsPerWatch = 3;

type Load = { readonly readers: number; readonly watches: number; readonly seconds: number; readonly rounds: number };

/** A group of readers whose cost is measured, and the most that one may cost for each event. */
type Group = { readonly name: string; readonly path: string; readonly ofOther: boolean; readonly maxMicroseconds: number };

const groups: readonly Group[] = [
  { name: "stream that it matches", path: "/v1/events?after=latest", ofOther: false, maxMicroseconds: 20 },
  { name: "other stream of the account", path: "/v1/events?after=latest&type=watch.lost", ofOther: false, maxMicroseconds: 1 },
  { name: "stream of another account", path: "/v1/events?after=latest", ofOther: true, maxMicroseconds: 0.2 },
];

/**
 * Measures what an event costs the event loop for each waiting reader: processor time of the main thread while watches of the
 * sandbox live, less that of as many seconds without events, and less that of the same watches without readers.
 */
export async function runReaders({ isShort }: { readonly isShort: boolean }): Promise<boolean> {
  const load = isShort ? { readers: 300, watches: 60, seconds: 11, rounds: 1 } : { readers: 1000, watches: 100, seconds: 12, rounds: 3 };
  await using database = await benchDatabase();
  const environment = { DATABASE_URL: database.url, ACCOUNT_MAX_WAITING_REQUESTS: "0", POLYAI_AUTH_TOKEN: "" };
  await using service = await benchService(environment);
  await service.start(AbortSignal.timeout(180_000));
  const otherKey = await createAccount("other", environment);
  const figures: Figure[] = [];
  // The first watches compile the code.
  await live(service, load);
  for (const { name, path, ofOther, maxMicroseconds } of groups) {
    const costs: number[] = [];
    for (let round = 0; round < load.rounds; round++) {
      const alone = (await live(service, load)) - (await idle(service.pid, load));
      const readers = await openStreams(new URL(service.url), path, ofOther ? otherKey : apiKey, load.readers);
      await wait(1000);
      const beside = (await live(service, load)) - (await idle(service.pid, load));
      for (const reader of readers) reader.destroy();
      await wait(1000);
      costs.push(((beside - alone) * 1e6) / (load.watches * eventsPerWatch * load.readers));
    }
    const value = costs.toSorted((a, b) => a - b)[Math.floor(costs.length / 2)] ?? Number.NaN;
    figures.push({
      name: `event loop for each event and ${name}, ${load.readers} of them`,
      value,
      shown: `${value.toFixed(2)} us (${costs.map((cost) => cost.toFixed(2)).join(", ")})`,
      bar: `<= ${maxMicroseconds} us`,
      met: value <= maxMicroseconds,
    });
  }
  return printFigures(figures);
}

let lives = 0;

/** Lets watches live for the seconds of the load; returns the processor time of the main thread. */
async function live({ client, pid }: ServiceProcess, { watches, seconds }: Load): Promise<number> {
  const before = await threadTimes(pid);
  lives += 1;
  const items = Array.from({ length: watches }, (_, n) => ({
    call_sid: `OUT-sandbox-success-${lives}-${n}`,
    source: "sandbox",
    callback_url: null,
  }));
  const { statusCode } = await client.post("/v1/watches/batch", { watches: items });
  if (statusCode !== 200) throw new Error(`the batch was answered ${statusCode}`);
  await wait(seconds * 1000);
  return (await threadTimes(pid)).mainSeconds - before.mainSeconds;
}

async function idle(pid: number, { seconds }: Load): Promise<number> {
  const before = await threadTimes(pid);
  await wait(seconds * 1000);
  return (await threadTimes(pid)).mainSeconds - before.mainSeconds;
}

/** Opens event streams that read and discard; resolves when all have begun. */
async function openStreams({ hostname, port }: URL, path: string, key: string, count: number): Promise<readonly Socket[]> {
  const head = `GET ${path} HTTP/1.1\r\nhost: ${hostname}\r\naccept: text/event-stream\r\nx-api-key: ${key}\r\n\r\n`;
  return Promise.all(
    Array.from({ length: count }, async () => {
      const socket = connect(Number(port), hostname);
      socket.write(head);
      const [first] = (await once(socket, "data")) as [Buffer];
      if (!first.toString("latin1").startsWith("HTTP/1.1 200")) throw new Error(`a stream was answered ${first.toString("latin1", 0, 60)}`);
      return socket.resume();
    }),
  );
}
