import type { Figure } from "../figure.ts";
import { percentile } from "../figure.ts";
import { alternate, median } from "../machine/alternation.ts";
import { postgresStore, sqliteStore, startPostgres } from "../peers/peer-store.ts";
import { attacks, throttlingAttack } from "./attacks.ts";
import { measureNeighbours } from "./one-life.ts";
import type { NeighboursLife, NeighboursLoad } from "./one-life.ts";

const spans = ["quiet", "beside"] as const;
const durations = ["registrationMs", "seenMs", "firstMs", "emptyMs"] as const;
/** What is held against the bar. */
const judgedDurations = ["registrationMs", "seenMs", "firstMs"] as const;

/** Percentiles in milliseconds. */
export type Latency = { readonly p50: number; readonly p99: number };
export type Latencies = Readonly<Record<(typeof durations)[number], Latency>>;

/** Medians of all rounds, of one attack on one store; requests are the sum of all rounds. */
export type NeighboursRow = {
  readonly attack: string;
  readonly store: string;
  readonly quiet: Latencies;
  readonly beside: Latencies;
  readonly requests: number;
  readonly unavailable: number;
  readonly failed: number;
};

type Side = { readonly attack: string; readonly store: string; readonly measure: () => Promise<NeighboursLife> };

/** Measures every attack on every store, in alternation, each on a database of its own. Every life is logged to standard error. */
export async function measureAllNeighbours(rounds: number, load: NeighboursLoad, chosen: RegExp): Promise<readonly NeighboursRow[]> {
  await using server = await startPostgres();
  const stores = [
    { store: "SQLite", open: sqliteStore, instances: 1 },
    { store: "Postgres, two instances", open: () => postgresStore(server), instances: 2 },
  ];
  const sides = stores.flatMap(({ store, open, instances }) =>
    Object.keys(attacks)
      .filter((attack) => chosen.test(`${attack} (${store})`))
      .map((attack): Side => ({
        attack,
        store,
        async measure() {
          await using database = await open();
          const life = await measureNeighbours(attack, database.address, instances, load);
          console.error(`${attack} (${store}): ${JSON.stringify({ ...rowOf(this, [life]), answers: life.answers })}`);
          return life;
        },
      })),
  );
  const lives = await alternate(rounds, new Map(sides.map((side) => [side, () => side.measure()])));
  return [...lives].map(([side, ofSide]) => rowOf(side, ofSide));
}

function rowOf({ attack, store }: Omit<Side, "measure">, lives: readonly NeighboursLife[]): NeighboursRow {
  const [quiet, beside] = spans.map((span) => latenciesOf(lives, span)) as [Latencies, Latencies];
  const sum = (count: (life: NeighboursLife) => number) => lives.reduce((total, life) => total + count(life), 0);
  return {
    attack,
    store,
    quiet,
    beside,
    requests: sum((life) => life.beside.registrationMs.length),
    unavailable: sum((life) => life.beside.unavailable),
    failed: sum((life) => life.beside.failed),
  };
}

function latenciesOf(lives: readonly NeighboursLife[], span: (typeof spans)[number]): Latencies {
  const of = (duration: (typeof durations)[number], share: number) =>
    median(lives.map((life) => percentile(life[span][duration], share)).filter(Number.isFinite));
  return Object.fromEntries(durations.map((duration) => [duration, { p50: of(duration, 0.5), p99: of(duration, 0.99) }])) as Latencies;
}

const factor = 3;
const allowedMs = 100;

/** Holds every row against the bar: each p99 beside the attack within three times the quiet one and 100 ms, and no request refused. */
export function figuresOfNeighbours(rows: readonly NeighboursRow[]): readonly Figure[] {
  return rows.map(({ attack, store, quiet, beside, unavailable, failed }) => {
    const judged = judgedDurations.filter((duration) => duration !== "firstMs" || attack !== throttlingAttack);
    const worst = Math.max(...judged.map((duration) => beside[duration].p99 / (factor * quiet[duration].p99 + allowedMs)));
    const refused = unavailable + failed;
    return {
      name: `a quiet account beside ${attack} (${store})`,
      value: worst,
      shown: `${worst.toFixed(2)} of the allowed p99; ${unavailable} requests 503, ${failed} failed`,
      bar: "<= 1 (p99 <= 3 x quiet p99 + 100 ms), no request 503",
      met: worst <= 1 && refused === 0,
    };
  });
}
