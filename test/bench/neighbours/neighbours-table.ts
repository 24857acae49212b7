import type { Latencies, NeighboursRow } from "./measure-neighbours.ts";

const header =
  "| what the other account does | store | registration p50; p99: alone, beside | transition seen to webhook p50; p99: alone, beside | registration to first webhook p50; p99: alone, beside | empty route of another process p99: alone, beside | 503, failed of requests |";

/** Writes the rows as a Markdown table. */
export function neighboursTable(rows: readonly NeighboursRow[]): string {
  return [header, "|---|---|---|---|---|---|---|", ...rows.map(lineOf)].join("\n");
}

function lineOf(row: NeighboursRow): string {
  const { attack, store, requests, unavailable, failed } = row;
  const cells = (["registrationMs", "seenMs", "firstMs"] as const).map((name) => `${pair(row.quiet, name)}, ${pair(row.beside, name)} ms`);
  return `| ${attack} | ${store} | ${cells.join(" | ")} | ${Math.round(row.quiet.emptyMs.p99)}, ${Math.round(row.beside.emptyMs.p99)} ms | ${unavailable}, ${failed} of ${requests} |`;
}

function pair(latencies: Latencies, name: keyof Latencies): string {
  const { p50, p99 } = latencies[name];
  return `${Math.round(p50)}; ${Math.round(p99)}`;
}
