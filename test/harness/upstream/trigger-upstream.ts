import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

type Trigger = { readonly url: string; readonly headers: IncomingMessage["headers"]; readonly body: string };
/** Plays the answer to one trigger. */
export type TriggerAnswer = (response: ServerResponse, request: IncomingMessage) => void;

export const answering =
  (statusCode: number, body: unknown, headers: Readonly<Record<string, string>> = {}): TriggerAnswer =>
  (response) =>
    response.writeHead(statusCode, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
/** Answers as PolyAI's older API does. */
export const placing = (callSid: string): TriggerAnswer => answering(200, { call_sid: callSid });
export const resetting: TriggerAnswer = (_response, { socket }) => socket.resetAndDestroy();
export const hanging: TriggerAnswer = () => undefined;
/** Sends a head, and a body that has no end. */
export const breakingOff: TriggerAnswer = (response) =>
  void response.writeHead(200, { "content-length": "1000" }).write('{"call_sid":"OUT-half"');

/** An upstream that plays any answer to a trigger and counts them. Every call is queued. */
export async function triggerUpstream() {
  const triggers: Trigger[] = [];
  const sockets = new Set<unknown>();
  const state = { answer: placing("OUT-placed-1") as TriggerAnswer };
  const server = createServer((request, response) => {
    if (request.method === "GET") return void answering(200, { status: "queued" })(response, request);
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      sockets.add(request.socket);
      triggers.push({ url: request.url ?? "", headers: request.headers, body: Buffer.concat(chunks).toString() });
      state.answer(response, request);
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const close = () => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => void server.close(() => resolve()));
  };
  onTestFinished(close);
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    triggers,
    /** Connections that carried a trigger. */
    sockets,
    close,
    answer: (next: TriggerAnswer) => void (state.answer = next),
    environment: { POLYAI_BASE_URL: url, POLYAI_AUTH_TOKEN: "token", RINGBACK_MAY_PLACE: "true" },
  };
}
