import { isoTime } from "../../domain/events/payload.ts";
import { statusMapChangesFrom } from "../../domain/sources/status-map.ts";
import type { SourceSettings } from "../../domain/sources/source-settings.ts";

type Listed = SourceSettings & { readonly name: string; readonly accountId: string | null; readonly removedAtMs?: number | null };

/** Renders a source for the command line, without its credential. The address has no query, and of a definition nothing else is shown. */
export function sourceJson(source: Listed) {
  const { name, kind, baseUrl, agentId, environment, maxPollsPerSecond, accountId, statusMap, removedAtMs = null } = source;
  return {
    name,
    kind,
    base_url: baseUrl,
    agent_id: agentId,
    environment,
    status_map: statusMapChangesFrom(statusMap),
    max_polls_per_second: maxPollsPerSecond,
    account_id: accountId,
    removed_at: isoTime(removedAtMs),
  };
}

export function describeSource(source: Listed): string {
  const agent = source.agentId === null ? "" : ` agent ${source.agentId} (${source.environment})`;
  const words = Object.entries(statusMapChangesFrom(source.statusMap)).map(([word, status]) => `${word}=${status ?? ""}`);
  const map = words.length === 0 ? "" : `  map ${words.join(" ")}`;
  const removed = (source.removedAtMs ?? null) === null ? "" : `  removed at ${isoTime(source.removedAtMs ?? null)}`;
  return `${source.name}  ${source.kind}  ${source.baseUrl}${agent}  ${source.maxPollsPerSecond} polls/s${map}${removed}`;
}
