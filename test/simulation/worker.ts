import { parentPort, workerData } from "node:worker_threads";
import type { Plan } from "./plan.ts";
import { effectsOfPlant, installPatches, plants } from "./plants.ts";
import { seedCrypto } from "./seeded-crypto.ts";

export type WorkerTask = {
  readonly plant: string | null;
  /** Whether to continue after a failure. */
  readonly keepsGoing: boolean;
  /** Seeds that are lived a second time; every line of the two is compared. */
  readonly twice: readonly number[];
};
export type ToSimulationWorker = { readonly seeds: readonly number[] } | { readonly shrink: number } | "end";
export type FromSimulationWorker =
  | {
      readonly kind: "lived";
      readonly seed: number;
      readonly rule: string | null;
      readonly detail: string;
      /** How often the plant took effect in this life; 0 without a plant. */
      readonly plantEffects: number;
      readonly steps: number;
      readonly virtualMs: number;
    }
  | { readonly kind: "batch_done" }
  | { readonly kind: "shrunk"; readonly seed: number; readonly report: string; readonly plan: Plan };

if (parentPort !== null) await serve(parentPort, workerData as WorkerTask);

/** Lives seeds for the runner. What is patched and seeded here must be so before the service's code is loaded. */
async function serve(port: NonNullable<typeof parentPort>, { plant: plantName, keepsGoing, twice }: WorkerTask): Promise<void> {
  const plant = plantName === null ? null : (plants.find(({ name }) => name === plantName) ?? null);
  if (plantName !== null && plant === null) throw new Error(`no plant ${plantName}`);
  // Thousands of errors are made and answered; where they came from is asked only of one that is reported.
  Error.stackTraceLimit = 0;
  seedCrypto();
  if (plant !== null) installPatches(plant);
  const { planOf } = await import("./plan-world.ts");
  const { live } = await import("./world.ts");
  const { shrink } = await import("./shrink.ts");
  const { describeFailure } = await import("./report.ts");
  const post = (message: FromSimulationWorker) => port.postMessage(message);

  const liveAll = async (seeds: readonly number[]) => {
    for (const seed of seeds) {
      const effectsBefore = effectsOfPlant();
      const { violations, timeline, steps, virtualMs } = await live(planOf(seed), plant);
      const [violation] = violations;
      const difference = twice.includes(seed)
        ? firstDifference(timeline.lines(), (await live(planOf(seed), plant)).timeline.lines())
        : null;
      const fault = difference === null ? violation : { rule: "same seed, same run", detail: difference };
      const plantEffects = effectsOfPlant() - effectsBefore;
      post({ kind: "lived", seed, rule: fault?.rule ?? null, detail: fault?.detail ?? "", plantEffects, steps, virtualMs });
      if (fault !== undefined && !keepsGoing) break;
    }
    post({ kind: "batch_done" });
  };
  const shrinkOne = async (seed: number) => {
    const first = await live(planOf(seed), plant);
    const rule = first.violations[0]?.rule;
    const plan = await shrink(first.plan, async (candidate) => (await live(candidate, plant)).violations[0]?.rule === rule);
    post({ kind: "shrunk", seed, report: describeFailure(await live(plan, plant)), plan });
  };
  port.on("message", (message: ToSimulationWorker) => {
    if (message === "end") port.close();
    else if ("seeds" in message) void liveAll(message.seeds);
    else void shrinkOne(message.shrink);
  });
}

/** Where two runs part; null: they are the same, byte for byte. */
function firstDifference(first: readonly string[], second: readonly string[]): string | null {
  const length = Math.max(first.length, second.length);
  for (let index = 0; index < length; index++)
    if (first[index] !== second[index]) return `line ${index}: ${first[index] ?? "(none)"} / ${second[index] ?? "(none)"}`;
  return null;
}
