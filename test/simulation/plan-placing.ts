import type { Step } from "./plan.ts";
import type { Scene } from "./plan-steps.ts";
import type { Random } from "./random.ts";
import { firstTriggerFates } from "./scripted-triggers.ts";

const settleMs = 5000;
/** Numbers of these steps begin here, so that the others keep theirs, and what they refer to. */
const firstId = 1000;

/** Draws the steps that place calls, each now and then with a crash while its trigger is out. They share nothing with other steps. */
export function planPlacing(random: Random, { accounts, storage, instances, durationMs, urls }: Scene): readonly Step[] {
  const survives = storage === "file" || instances > 1;
  const count = random.weighted([
    [3, 0],
    [4, 1],
    [3, 2],
    [1, 5],
  ]);
  return Array.from({ length: count }, (_, index): readonly Step[] => {
    const account = random.int(0, accounts - 1);
    const own = urls.flatMap((url, at) => (url.account === account ? [at] : []));
    const atMs = settleMs + random.int(0, durationMs);
    const id = firstId + index * 2;
    const place: Step = {
      id,
      atMs,
      kind: "place",
      account,
      url: random.chance(0.7) ? random.pick(own) : null,
      metadata: random.chance(0.5) ? { lead_id: `P-${random.int(1, 3)}` } : {},
      fate: random.weighted(firstTriggerFates),
      isPaired: random.chance(0.4),
      repeatAfterMs: random.chance(0.4) ? random.int(0, 40_000) : null,
      resolve: random.pick(["once", "twice", "never"]),
    };
    const crash: Step = {
      id: id + 1,
      atMs: Math.max(0, atMs - 1),
      kind: "crash",
      instance: random.int(0, instances - 1),
      after: "trigger",
      delayMs: random.pick([0, random.int(0, 40), random.int(0, 1000)]),
      downMs: random.int(1000, 6000),
    };
    return survives && random.chance(0.35) ? [crash, place] : [place];
  }).flat();
}
