import { baseUrlKind } from "../upstream/base-url-kind.ts";
import { polyaiFixedWords, polyaiSid, polyaiWords, readStatus } from "./status-words.ts";
import { polyaiTrigger } from "./trigger.ts";

/** PolyAI's outbound calling API: statuses in lower case, base URLs `https://api.<region>.platform.polyai.app`. */
export const legacyKind = baseUrlKind({
  name: "polyai-legacy",
  fields: [],
  credentialVariable: "POLYAI_AUTH_TOKEN",
  credentialHeader: "X-PolyAi-Auth-Token",
  words: polyaiWords,
  fixedWords: polyaiFixedWords,
  statusPath: (_settings, callSid) => `/v1/outbound-calling/${encodeURIComponent(callSid)}/status`,
  statusOf: readStatus,
  trigger: polyaiTrigger({
    path: () => "/v1/outbound-calling",
    numberKey: "to_number",
    countryCodeKey: "country_code",
    textKeys: [],
    sidKey: "call_sid",
    hasEnvironment: false,
  }),
  sid: polyaiSid,
});
