import type { EndpointStore } from "../../ports/stores/endpoint-store.ts";

type Patch = Parameters<EndpointStore["patchEndpoint"]>[0]["patch"];

/** Returns the columns of `endpoints` that a patch sets, except its state. Columns that the patch omits stay unchanged. */
export function patchedColumns(patch: Patch): readonly (readonly [column: string, value: string | number | Uint8Array | null])[] {
  const columns: [string, string | number | Uint8Array | null][] = [];
  if (patch.format !== undefined) columns.push(["format", patch.format], ["request", patch.request ?? null]);
  if (patch.headers !== undefined) {
    columns.push(["header_names", JSON.stringify(patch.headers?.names ?? [])], ["sealed_headers", patch.headers?.sealed ?? null]);
    columns.push(["headers_fingerprint", patch.headers?.fingerprints[0] ?? null]);
  }
  if (patch.maxInFlight !== undefined) columns.push(["max_in_flight", patch.maxInFlight]);
  if (patch.maxPerSecond !== undefined) columns.push(["max_per_second", patch.maxPerSecond]);
  if (patch.signatures !== undefined) columns.push(["signatures", JSON.stringify(patch.signatures)]);
  if (patch.late !== undefined) columns.push(["late", patch.late]);
  return columns;
}
