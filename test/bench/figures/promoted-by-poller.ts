import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { startChild } from "../child.ts";
import type { Figure } from "../figure.ts";

const bytesPerMb = 1e6;
const maxMbPerSecond = 1;
const pollsPerSecond = 3000;
/** What is not done promotes nothing. */
const leastShareOfLoad = 0.9;

/**
 * What the poller alone moves to the old generation at 3,000 polls/s, where a finished poll should leave nothing, because what is promoted
 * makes full collections. V8 reports it for every collection of the young generation; those of the warm-up do not count.
 */
export async function measurePromotedByPoller(warmUpMs: number, measureMs: number): Promise<Figure> {
  await using upstream = await startChild("./upstream.ts");
  const program = new URL("../poller-program.ts", import.meta.url).pathname;
  const parameters = [`http://127.0.0.1:${upstream.port}/steady`, String(warmUpMs), String(measureMs)];
  const poller = spawn(process.execPath, ["--trace-gc-nvp", program, ...parameters], { stdio: ["ignore", "pipe", "inherit"] });
  const output = await text(poller.stdout);
  const [fromMs, seconds, polls] = (/^measured fromMs=(\d+) seconds=(\S+) polls=(\d+)$/m.exec(output) ?? []).slice(1).map(Number);
  if (fromMs === undefined || seconds === undefined || polls === undefined)
    throw new Error(`the poller did not measure: ${output.slice(-500)}`);
  const perSecond = promotedAfter(output.split("\n"), fromMs) / bytesPerMb / seconds;
  const isAtLoad = polls / seconds >= leastShareOfLoad * pollsPerSecond;
  return {
    name: "promoted to the old generation by the poller alone",
    value: perSecond,
    shown: `${perSecond.toFixed(2)} MB/s at ${Math.round(polls / seconds)} of ${pollsPerSecond} polls/s`,
    bar: `<= ${maxMbPerSecond} MB/s`,
    met: perSecond <= maxMbPerSecond && isAtLoad,
  };
}

/** Adds up the promoted bytes of lines such as `[pid:isolate] 136 ms: … gc=s … promoted=0 …`. */
function promotedAfter(lines: readonly string[], fromMs: number): number {
  return lines
    .map((line) => /^\[\d+:\w+\]\s+(\d+) ms: .*\bgc=s\b.*\bpromoted=(\d+)/.exec(line))
    .filter((match) => match !== null && Number(match[1]) >= fromMs)
    .reduce((sum, match) => sum + Number(match?.[2]), 0);
}
