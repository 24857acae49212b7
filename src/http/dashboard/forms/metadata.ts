import type { Context } from "hono";
import { unprocessable } from "../../operations/problem.ts";
import type { DashboardEnv } from "../dashboard-env.ts";
import { jsonOf, pairsOf, textOf } from "./given.ts";

const name = "metadata";
const lines = { separator: "=", example: "lead_id=00Q5g000" };

/** Reads metadata: one pair a line, or a JSON object, which no line begins like. */
export function metadataIn(c: Context<DashboardEnv>): unknown {
  if (textOf(c, name)?.startsWith("{") !== true) return pairsOf(c, name, lines);
  const metadata = jsonOf(c, name);
  if (metadata !== null && Object.values(metadata as object).every((value) => typeof value === "string")) return metadata;
  throw unprocessable([{ parameter: name, detail: "must be a JSON object of texts" }]);
}

/** Renders metadata as it is typed: as lines, or as JSON if a value would not survive as one. */
export function linesOfMetadata(metadata: Readonly<Record<string, string>>): string {
  const isPlain = Object.values(metadata).every((value) => value === value.trim() && !/[\r\n]/.test(value));
  return isPlain
    ? Object.entries(metadata)
        .map(([key, value]) => `${key}${lines.separator}${value}`)
        .join("\n")
    : JSON.stringify(metadata, null, 2);
}
