import { Pool } from "undici";
import { generateSecret, hmacKeyOf, signWebhook } from "../../../src/domain/webhooks/signature.ts";

/** What a program that does the job is started with. */
export type Job = {
  readonly upstreamPort: number;
  readonly sinkPort: number;
  readonly calls: number;
  readonly intervalMs: number;
  /** Address of the store; empty if the program has none. */
  readonly store: string;
  /** Whether the store has the calls from a run before. */
  readonly resumes: boolean;
};

/** Last known state of a call; null and 0 before its first poll. */
export type Known = { readonly status: string | null; readonly sequence: number };
export type Status = { readonly status: string; readonly reason: string };
export type Webhook = { readonly id: string; readonly hook: string; readonly body: string };

const endpoints = 100;

/** Reads the job of this process from its command line. */
export function jobOfProcess(): Job {
  return JSON.parse(process.argv[2] ?? "{}") as Job;
}

/** Reports to the benchmark that the job is running. The process ends with it. */
export function reportReady(): void {
  process.send?.({ port: 0 });
  process.on("SIGTERM", () => process.exit(0));
  process.on("disconnect", () => process.exit(0));
}

/** Returns the SIDs of all calls. They are the same for every program. */
export function callSidsOf({ calls }: Job): readonly string[] {
  return Array.from({ length: calls }, (_, index) => `OUT-bench-${index}`);
}

/** Composes the webhook of a transition. Its id says which transition it is; its timestamp is when the transition was observed. */
export function webhookOf(callSid: string, known: Known, { status, reason }: Status): Webhook {
  const sequence = known.sequence + 1;
  const observedAt = new Date().toISOString();
  const body = JSON.stringify({
    type: `call.${status}`,
    timestamp: observedAt,
    data: {
      watch_id: callSid,
      call_sid: callSid,
      source: "default",
      status,
      previous_status: known.status,
      reason,
      terminal: false,
      sequence,
      observed_at: observedAt,
      observed_after: null,
      metadata: {},
    },
  });
  return { id: `evt_${callSid}-${sequence}`, hook: `/hooks/${Number(callSid.slice(callSid.lastIndexOf("-") + 1)) % endpoints}`, body };
}

/** Returns the path of a call at the upstream, where a tenth of the polls is a transition. */
export function statusPath(callSid: string): string {
  return `/moving/v1/outbound-calling/${callSid}/status`;
}

/** Returns the headers of a webhook, signed by the Standard Webhooks specification. */
export function signedHeaders({ id, body }: Webhook): Record<string, string> {
  const timestampSeconds = Math.floor(Date.now() / 1000);
  return {
    "content-type": "application/json",
    "webhook-id": id,
    "webhook-timestamp": String(timestampSeconds),
    "webhook-signature": signWebhook({ id, timestampSeconds, body }, keys),
  };
}

const keys = { hmac: [hmacKeyOf(generateSecret())], ed25519: null };

/** The two HTTP ends of the job, over kept connections. */
export class Ends {
  readonly #upstream: Pool;
  readonly #sink: Pool;

  constructor({ upstreamPort, sinkPort }: Job, connections: { readonly polls: number; readonly webhooks: number }) {
    this.#upstream = new Pool(`http://127.0.0.1:${upstreamPort}`, { connections: connections.polls, pipelining: 1, allowH2: false });
    this.#sink = new Pool(`http://127.0.0.1:${sinkPort}`, { connections: connections.webhooks, pipelining: 1, allowH2: false });
  }

  /** Polls a call. Throws unless the upstream answers 200. */
  async ask(callSid: string): Promise<Status> {
    const headers = { "x-polyai-auth-token": "bench" };
    const { statusCode, body } = await this.#upstream.request({ path: statusPath(callSid), method: "GET", headers });
    const text = await body.text();
    if (statusCode !== 200) throw new Error(`the upstream answers ${statusCode}`);
    return JSON.parse(text) as Status;
  }

  /** Sends a webhook once. Throws unless the receiver answers 2xx. */
  async post(webhook: Webhook): Promise<void> {
    const answer = await this.#sink.request({ path: webhook.hook, method: "POST", headers: signedHeaders(webhook), body: webhook.body });
    await answer.body.dump();
    if (answer.statusCode < 200 || answer.statusCode > 299) throw new Error(`the receiver answers ${answer.statusCode}`);
  }
}
