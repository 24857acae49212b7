import { baseUrlKind } from "../upstream/base-url-kind.ts";
import { polyaiFixedWords, polyaiSid, polyaiWords, readStatus } from "./status-words.ts";
import { polyaiTrigger } from "./trigger.ts";

/** PolyAI's agents API: statuses in upper case, base URLs `https://api.<region>.poly.ai`. */
export const agentsKind = baseUrlKind({
  name: "polyai-agents",
  fields: ["agentId", "environment"],
  environments: ["sandbox", "pre-release", "live"],
  credentialVariable: "POLYAI_API_KEY",
  credentialHeader: "X-API-KEY",
  words: polyaiWords,
  fixedWords: polyaiFixedWords,
  statusPath({ agentId, environment }, callSid) {
    const calls = `/v1/agents/${encodeURIComponent(agentId ?? "")}/telephony/outbound-calls`;
    return `${calls}/${encodeURIComponent(callSid)}/status?environment=${encodeURIComponent(environment ?? "")}`;
  },
  trigger: polyaiTrigger({
    path: ({ agentId }) => `/v1/agents/${encodeURIComponent(agentId ?? "")}/telephony/outbound-calls`,
    numberKey: "toNumber",
    countryCodeKey: "countryCode",
    textKeys: ["variantId"],
    sidKey: "callSid",
    hasEnvironment: true,
  }),
  statusOf: readStatus,
  sid: polyaiSid,
});
