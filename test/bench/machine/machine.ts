import { readFile } from "node:fs/promises";
import { cpus, loadavg, totalmem } from "node:os";

const ticksPerSecond = 100;

/** Describes the machine in one line, with its load before the measurement. */
export function machineLine(): string {
  const memoryGb = Math.round(totalmem() / 2 ** 30);
  const model = cpus()[0]?.model ?? "unknown";
  return `Node ${process.versions.node}, ${cpus().length} x ${model}, ${memoryGb} GB, load ${loadavg()[0]?.toFixed(1)} at the start`;
}

/** Returns the processor time that the hypervisor gave to other machines since this one started (`steal` in `/proc/stat`). */
async function stolenSeconds(): Promise<number> {
  const [line = ""] = (await readFile("/proc/stat", "utf8")).split("\n");
  return Number(line.split(/\s+/)[8] ?? 0) / ticksPerSecond;
}

/** Measures how much processor time is stolen while `run` runs. */
export async function withStolenTime<T>(run: () => Promise<T>): Promise<{ readonly result: T; readonly stolen: string }> {
  const [stolenBefore, startedMs] = [await stolenSeconds(), performance.now()];
  const result = await run();
  const seconds = (performance.now() - startedMs) / 1000;
  const stolen = (await stolenSeconds()) - stolenBefore;
  const share = (stolen / (seconds * cpus().length)) * 100;
  const load = loadavg()[0]?.toFixed(1);
  return {
    result,
    stolen: `${stolen.toFixed(1)} s of processor time stolen in ${Math.round(seconds)} s (${share.toFixed(1)} %), load ${load} at the end`,
  };
}
