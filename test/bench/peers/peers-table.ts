import type { Life } from "./one-life.ts";
import type { MissingPeer, PeerRow } from "./measure-peers.ts";

const header =
  "| the same job, each alone on the machine | webhooks/s | CPU per webhook: main thread, process, with its store | first byte p50; p99 | memory: process, store | lost at `kill -9` | on disk |";

/** Writes the rows as a Markdown table. */
export function peersTable(rows: readonly (PeerRow | MissingPeer)[]): string {
  return [header, "|---|---|---|---|---|---|---|", ...rows.map(lineOf)].join("\n");
}

function lineOf(row: PeerRow | MissingPeer): string {
  const { name, durability } = row.peer;
  if (row.full === null) return `| ${name} | not measured: its store is not installed | | | | | ${durability} |`;
  const { full, steady, losses } = row;
  const cpu = `${ms(full.mainThreadCpuMs)}, ${ms(full.serviceCpuMs)}, ${ms(full.serviceCpuMs + full.storeCpuMs)} ms`;
  const latency = steady === null ? "" : `${steady.p50Ms.toFixed(1)}; ${steady.p99Ms.toFixed(1)} ms`;
  const lost = losses === null ? "" : `${losses.lost} of ${losses.read}`;
  return `| ${name} | ${whole(full.perSecond)} | ${cpu} | ${latency} | ${memoryOf(steady ?? full)} | ${lost} | ${durability} |`;
}

function memoryOf({ serviceMib, storeMib }: Life): string {
  return storeMib === 0 ? `${whole(serviceMib)} MiB` : `${whole(serviceMib)}, ${whole(storeMib)} MiB`;
}

function ms(value: number): string {
  return value.toFixed(2);
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
