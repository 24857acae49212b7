/** Where and as whom one PolyAI source is asked. */
export type PolyaiConfig = {
  readonly kind: "polyai-legacy" | "polyai-agents";
  /** Free text: it is given per project. May have a path. */
  readonly baseUrl: string;
  readonly credential: string;
  /** `polyai-agents` alone. */
  readonly agentId: string | null;
  readonly environment: string | null;
};

export type StatusRequest = { readonly origin: string; readonly headers: Readonly<Record<string, string>>; pathOf(callSid: string): string };

/** The request for a call's status, by kind; a further kind is a further case here. */
export function statusRequestOf(config: PolyaiConfig): StatusRequest {
  const base = new URL(config.baseUrl);
  const prefix = base.pathname.replace(/\/+$/, "");
  switch (config.kind) {
    case "polyai-legacy":
      return {
        origin: base.origin,
        headers: { accept: "application/json", "x-polyai-auth-token": config.credential },
        pathOf: (callSid) => `${prefix}/v1/outbound-calling/${encodeURIComponent(callSid)}/status`,
      };
    case "polyai-agents": {
      const agent = encodeURIComponent(config.agentId ?? "");
      const query = `environment=${encodeURIComponent(config.environment ?? "")}`;
      return {
        origin: base.origin,
        headers: { accept: "application/json", "x-api-key": config.credential },
        pathOf: (callSid) => `${prefix}/v1/agents/${agent}/telephony/outbound-calls/${encodeURIComponent(callSid)}/status?${query}`,
      };
    }
  }
}
