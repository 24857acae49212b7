import { messageOf } from "../domain/error-text.ts";
import { parseArgs } from "node:util";
import { untilAborted } from "./command.ts";
import { Demo } from "./demo/demo-run.ts";

const usage = `usage: npm run demo [-- --keep]
Runs a simulated upstream, two services and a verifying receiver, and shows every webhook as it arrives.
  --keep   stay up afterwards, with lines to try`;
/** Time limit of the whole demo, including the crash. */
const deadlineMs = 38_000;
const exitCodes = { done: 0, failed: 1, usage: 2, interrupted: 130 };

const out = (line: string) => void process.stdout.write(`${line}\n`);

async function runDemo(keep: boolean): Promise<number> {
  const ending = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => ending.abort());
  await using demo = await Demo.create(out);
  process.once("exit", () => demo.killNow());
  try {
    const faults = await demo.run(AbortSignal.any([ending.signal, AbortSignal.timeout(deadlineMs)]));
    for (const fault of faults) out(`  ${fault}`);
    if (faults.length > 0) return exitCodes.failed;
  } catch (error) {
    if (ending.signal.aborted) return exitCodes.interrupted;
    const late = error instanceof Error && error.name === "AbortError";
    out(late ? `\nnot done after ${deadlineMs / 1000} s:` : `\n${messageOf(error)}`);
    if (late) for (const fault of demo.faults()) out(`  ${fault}`);
    return exitCodes.failed;
  }
  if (!keep) return exitCodes.done;
  out(demo.instructions());
  await untilAborted(ending.signal);
  return exitCodes.done;
}

function readKeep(): boolean | null {
  try {
    return parseArgs({ options: { keep: { type: "boolean" } } }).values.keep === true;
  } catch {
    return null;
  }
}

const keep = readKeep();
if (keep === null) out(usage);
process.exitCode = keep === null ? exitCodes.usage : await runDemo(keep);
