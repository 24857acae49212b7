import { setPriority } from "node:os";
import { Attacker } from "./attacker.ts";
import type { AttackJob } from "./attacker.ts";
import { attacks } from "./attacks.ts";

// An account that burdens its neighbours, as a process of its own, so that its work is not done in the process that measures its victim.
// It has the lowest priority, because the processor time that its own requests take is none of the service's. It is asked to `prepare`, then to `attack`, and answers with what the service answered.

const lowestPriority = 19;

setPriority(lowestPriority);
const job = JSON.parse(process.argv[2] ?? "{}") as AttackJob;
const attack = attacks[job.attack];
if (attack === undefined) throw new Error(`no attack ${job.attack}`);
const attacker = await Attacker.start(job);

async function answerTo(question: unknown): Promise<unknown> {
  try {
    if (question === "attack") return { answers: await attacker.run(attack ?? { run: async () => undefined }) };
    await attack?.prepare?.(attacker);
    return { answers: {} };
  } catch (error) {
    return { fault: String(error) };
  }
}

process.on("message", (question) => void answerTo(question).then((answer) => process.send?.(answer)));
process.on("SIGTERM", () => process.exit(0));
process.on("disconnect", () => process.exit(0));
process.send?.({ port: 0 });
