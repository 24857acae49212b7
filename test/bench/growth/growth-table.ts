import type { GrowthRow } from "./measure-growth.ts";

const bytesPerMib = 2 ** 20;
const header = "| calls watched; ended deliveries | database | ready after | heap per call | RSS | CPU per poll | first byte p50; p99 |";

/** Writes the rows as a Markdown table. */
export function growthTable(rows: readonly GrowthRow[]): string {
  return [header, "|---|---|---|---|---|---|---|", ...rows.map(lineOf)].join("\n");
}

function lineOf(row: GrowthRow): string {
  const size = `${whole(row.activeCalls)}; ${whole(row.endedDeliveries)}`;
  const times = `${row.p50Ms.toFixed(1)}; ${row.p99Ms.toFixed(1)} ms`;
  return `| ${size} | ${mib(row.databaseBytes)} | ${row.readySeconds.toFixed(1)} s | ${whole(row.heapPerCallBytes)} bytes | ${mib(row.residentBytes)} | ${row.cpuMsPerPoll.toFixed(2)} ms | ${times} |`;
}

function mib(bytes: number): string {
  return `${whole(bytes / bytesPerMib)} MiB`;
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
