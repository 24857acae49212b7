import { randomUUID } from "node:crypto";
import type { Answer } from "./fault.ts";

/** The two telephony APIs of PolyAI, as their public reference describes them. */
export type UpstreamKind = "polyai-legacy" | "polyai-agents";

export type UpstreamRequest =
  | { readonly kind: "status"; readonly api: UpstreamApi; readonly callSid: string; readonly wellFormed: boolean }
  | { readonly kind: "trigger"; readonly api: UpstreamApi };

export type UpstreamApi = {
  readonly kind: UpstreamKind;
  /** Header name in lower case, as Node provides it. */
  readonly credentialHeader: string;
  statusAnswer(callSid: string, status: string, reason: string | null, verbatim: boolean): Answer;
  triggerAnswer(callSid: string): Answer;
  errorAnswer(statusCode: number): Answer;
};

const json = { "content-type": "application/json" };
const environments = new Set(["sandbox", "pre-release", "live"]);
const legacyStatus = /^\/v1\/outbound-calling\/([^/?]+)\/status(?:\?|$)/;
const agentsStatus = /^\/v1\/agents\/[^/?]+\/telephony\/outbound-calls\/([^/?]+)\/status(?:\?(.*))?$/;
const agentsTrigger = /^\/v1\/agents\/[^/?]+\/telephony\/outbound-calls$/;

const errorNames: Readonly<Record<number, { readonly code: string; readonly message: string }>> = {
  400: { code: "BAD_REQUEST", message: "Invalid call SID format" },
  401: { code: "UNAUTHORIZED", message: "Invalid or missing authentication token" },
  403: { code: "FORBIDDEN", message: "Not allowed" },
  404: { code: "NOT_FOUND", message: "Call SID not found" },
  429: { code: "TOO_MANY_REQUESTS", message: "Too many requests" },
  500: { code: "INTERNAL_SERVER_ERROR", message: "Failed to retrieve call status" },
  502: { code: "BAD_GATEWAY", message: "Upstream failed" },
};

const legacy: UpstreamApi = {
  kind: "polyai-legacy",
  credentialHeader: "x-polyai-auth-token",
  statusAnswer: (_callSid, status, reason, verbatim) => ({
    statusCode: 200,
    headers: json,
    body: JSON.stringify({ status: verbatim ? status : status.toLowerCase(), ...(reason === null ? {} : { reason }) }),
  }),
  triggerAnswer: (callSid) => ({ statusCode: 200, headers: json, body: JSON.stringify({ call_sid: callSid }) }),
  errorAnswer(statusCode) {
    const { code, message } = errorOf(statusCode);
    return { statusCode, headers: json, body: JSON.stringify({ error: message, code }) };
  },
};

const agents: UpstreamApi = {
  kind: "polyai-agents",
  credentialHeader: "x-api-key",
  statusAnswer: (callSid, status, reason, verbatim) => ({
    statusCode: 200,
    headers: correlated(),
    body: JSON.stringify({ callSid, status: verbatim ? status : status.toUpperCase(), ...(reason === null ? {} : { reason }) }),
  }),
  triggerAnswer: (callSid) => ({ statusCode: 200, headers: correlated(), body: JSON.stringify({ callSid, status: "QUEUED" }) }),
  errorAnswer(statusCode) {
    const { code, message } = errorOf(statusCode);
    const headers = correlated();
    const error = { success: false, error: code, error_id: headers["x-polyai-correlation-id"], error_code: code, error_message: message };
    return { statusCode, headers, body: JSON.stringify({ ...error, data: null }) };
  },
};

/** Matches a request to an API; `null` for any other path. If `wellFormed` is false, the API answers 400 before it looks for the call. */
export function matchUpstream(method: string, url: string): UpstreamRequest | null {
  if (method === "POST") {
    if (url === "/v1/outbound-calling") return { kind: "trigger", api: legacy };
    return agentsTrigger.test(url) ? { kind: "trigger", api: agents } : null;
  }
  if (method !== "GET") return null;
  const legacyMatch = legacyStatus.exec(url);
  if (legacyMatch?.[1] !== undefined) return { kind: "status", api: legacy, callSid: legacyMatch[1], wellFormed: true };
  const agentsMatch = agentsStatus.exec(url);
  if (agentsMatch?.[1] === undefined) return null;
  const environment = new URLSearchParams(agentsMatch[2]).get("environment");
  return { kind: "status", api: agents, callSid: agentsMatch[1], wellFormed: environments.has(environment ?? "") };
}

function errorOf(statusCode: number): { readonly code: string; readonly message: string } {
  return errorNames[statusCode] ?? { code: `STATUS_${statusCode}`, message: `Answered ${statusCode}` };
}

function correlated(): { readonly "content-type": string; readonly "x-polyai-correlation-id": string } {
  return { ...json, "x-polyai-correlation-id": randomUUID() };
}
