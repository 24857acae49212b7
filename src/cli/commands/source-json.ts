import type { SourceSettings } from "../../domain/sources/source-settings.ts";

type Listed = SourceSettings & { readonly name: string; readonly accountId: string | null };

/** Renders a source for the command line, without its credential. */
export function sourceJson({ name, kind, baseUrl, agentId, environment, maxPollsPerSecond, accountId }: Listed) {
  return { name, kind, base_url: baseUrl, agent_id: agentId, environment, max_polls_per_second: maxPollsPerSecond, account_id: accountId };
}

export function describeSource(source: Listed): string {
  const agent = source.agentId === null ? "" : ` agent ${source.agentId} (${source.environment})`;
  return `${source.name}  ${source.kind}  ${source.baseUrl}${agent}  ${source.maxPollsPerSecond} polls/s`;
}
