import type { UpstreamKind } from "../../ports/upstream-kind.ts";
import { readStatus } from "./parse.ts";

/** PolyAI's agents API: statuses in upper case, base URLs `https://api.<region>.poly.ai`. */
export const agentsKind: UpstreamKind = {
  name: "polyai-agents",
  fields: ["agentId", "environment"],
  environments: ["sandbox", "pre-release", "live"],
  credentialVariable: "POLYAI_API_KEY",
  credentialHeader: "X-API-KEY",
  statusPath({ agentId, environment }, callSid) {
    const calls = `/v1/agents/${encodeURIComponent(agentId ?? "")}/telephony/outbound-calls`;
    return `${calls}/${encodeURIComponent(callSid)}/status?environment=${encodeURIComponent(environment ?? "")}`;
  },
  statusOf: readStatus,
};
