import type { ServiceProcess } from "../../../src/cli/demo/service-process.ts";
import { apiKey, encryptionKey } from "../../harness/service/environment.ts";
import type { Environment } from "../../harness/service/environment.ts";
import { benchService, createAccount } from "../bench-service.ts";
import { startChild } from "../child.ts";
import { attackSettings } from "./attacks.ts";
import type { Answers, AttackJob } from "./attacker.ts";
import { Victim } from "./victim.ts";
import type { Span } from "./victim.ts";

const startLimitMs = 180_000;

export type NeighboursLoad = {
  /** Between two registrations of the victim. */
  readonly everyMs: number;
  /** Before the quiet figures, for every process to have compiled what it runs. */
  readonly warmUpMs: number;
  readonly quietMs: number;
  readonly attackMs: number;
  /** Divides the numbers of rows that an attack prepares. */
  readonly scale: number;
};

/** One account before and during an attack by another account of the same service. */
export type NeighboursLife = { readonly quiet: Span; readonly beside: Span; readonly answers: Answers };

/** Starts instances on an empty database, measures the victim alone, then beside the attack. */
export async function measureNeighbours(
  attack: string,
  databaseUrl: string,
  instanceCount: number,
  load: NeighboursLoad,
): Promise<NeighboursLife> {
  await using started = new AsyncDisposableStack();
  const upstream = started.use(await startChild("./neighbours/shared-upstream-program.ts"));
  const empty = started.use(await startChild("./empty-route.ts"));
  const environment = environmentOf(attack, databaseUrl, upstream.port);
  const instances: ServiceProcess[] = [];
  for (let index = 0; index < instanceCount; index++) instances.push(started.use(await benchService(environment)));
  await Promise.all(instances.map((instance) => instance.start(AbortSignal.timeout(startLimitMs))));
  const serviceUrls = instances.map(({ url }) => url);
  const victim = started.use(await Victim.start(serviceUrls, await createAccount("victim", environment), `http://127.0.0.1:${empty.port}`));
  const { attackMs, scale } = load;
  const job: AttackJob = { attack, serviceUrls, key: apiKey, upstreamUrl: `http://127.0.0.1:${upstream.port}`, attackMs, scale };
  const attacker = started.use(await startChild("./neighbours/attacker-program.ts", [JSON.stringify(job)]));
  answersOf(await attacker.ask("prepare"));
  await victim.measure(load.everyMs, after(load.warmUpMs));
  const quiet = await victim.measure(load.everyMs, after(load.quietMs));
  let answers: Answers | null = null;
  const attacking = attacker.ask("attack").then((answer) => (answers = answersOf(answer)));
  // A fault of the attack ends the measurement below.
  const ended = attacking.catch(() => (answers = {}));
  const beside = await victim.measure(load.everyMs, () => answers !== null);
  await ended;
  return { quiet, beside, answers: await attacking };
}

/** The default limits of an account hold, because they are part of what is measured. */
function environmentOf(attack: string, databaseUrl: string, upstreamPort: number): Environment {
  return {
    DATABASE_URL: databaseUrl,
    RINGBACK_ENCRYPTION_KEY: encryptionKey,
    POLYAI_BASE_URL: `http://127.0.0.1:${upstreamPort}`,
    DNS_SERVERS: `127.0.0.1:${upstreamPort}`,
    API_MAX_PER_SECOND: "1000",
    ACCOUNT_MAX_ACTIVE_WATCHES: "200000",
    LOG_LEVEL: "silent",
    ...attackSettings[attack],
  };
}

function answersOf(answer: unknown): Answers {
  const { answers, fault } = answer as { readonly answers?: Answers; readonly fault?: string };
  if (answers === undefined) throw new Error(`the attack failed: ${fault}`);
  return answers;
}

function after(ms: number): () => boolean {
  const endsAtMs = performance.now() + ms;
  return () => performance.now() >= endsAtMs;
}
