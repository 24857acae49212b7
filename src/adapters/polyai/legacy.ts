import type { UpstreamKind } from "../../ports/upstream-kind.ts";
import { readStatus } from "./parse.ts";

/** PolyAI's outbound calling API: statuses in lower case, base URLs `https://api.<region>.platform.polyai.app`. */
export const legacyKind: UpstreamKind = {
  name: "polyai-legacy",
  fields: [],
  credentialVariable: "POLYAI_AUTH_TOKEN",
  credentialHeader: "X-PolyAi-Auth-Token",
  statusPath: (_settings, callSid) => `/v1/outbound-calling/${encodeURIComponent(callSid)}/status`,
  statusOf: readStatus,
};
