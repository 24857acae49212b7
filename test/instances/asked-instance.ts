import type { ProcessService } from "../harness/service/service.ts";

export const unavailable = { status: 503, type: "urn:ringback:problem:store-unavailable" };
export const someWatch = { call_sid: "OUT-1", callback_url: "http://127.0.0.1:9/x" };

/** The answer to a client, and how long it waited for it. */
export async function ask(instance: ProcessService, path: string, body?: Readonly<Record<string, unknown>>) {
  const startedMs = performance.now();
  const answer = await (body === undefined ? instance.client.get(path) : instance.client.post(path, body));
  return { status: answer.status, type: answer.body["type"], waitedMs: performance.now() - startedMs };
}
