import type { IncomingMessage, ServerResponse } from "node:http";
import { parseCallRequest, parseFaultRequest, parseRateRequest } from "./control-requests.ts";
import type { Parsed } from "./control-requests.ts";
import { sendAnswer } from "./fault.ts";
import type { Simulator } from "./simulator.ts";

const maxBodyBytes = 1_048_576;
const callPath = /^\/simulator\/calls\/([^/?]+)$/;

/** The routes under `/simulator`, by which scripts in any language say what the upstream is to do. */
export async function answerControl(simulator: Simulator, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const route = `${request.method ?? ""} ${request.url ?? ""}`;
  const callSid = callPath.exec(request.url ?? "")?.[1];
  if (request.method === "GET" && callSid !== undefined) return sendCall(simulator, callSid, response);
  switch (route) {
    case "POST /simulator/calls":
      return withBody(request, response, parseCallRequest, ({ callSid, script }) => {
        const started = simulator.trigger(script, callSid ?? undefined);
        sendJson(response, 201, { call_sid: started });
      });
    case "POST /simulator/faults":
      return withBody(request, response, parseFaultRequest, (fault) => {
        simulator.fault(fault);
        response.writeHead(204).end();
      });
    case "DELETE /simulator/faults":
      simulator.clearFaults();
      response.writeHead(204).end();
      return;
    case "PUT /simulator/rate":
      return withBody(request, response, parseRateRequest, (perSecond) => {
        simulator.limitRate(perSecond);
        response.writeHead(204).end();
      });
    default:
      sendJson(response, 404, { error: `no route ${route}` });
  }
}

/** The JSON of a request; undefined where it is none or too long. */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBodyBytes) return undefined;
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch {
    return undefined;
  }
}

async function withBody<T>(
  request: IncomingMessage,
  response: ServerResponse,
  parse: (body: unknown) => Parsed<T>,
  then: (value: T) => void,
): Promise<void> {
  const parsed = parse(await readJson(request));
  if (parsed.kind === "invalid") sendJson(response, 422, { error: parsed.detail });
  else then(parsed.value);
}

function sendCall(simulator: Simulator, callSid: string, response: ServerResponse): void {
  const call = simulator.statusOf(callSid);
  const polls = simulator.pollCount(callSid);
  if (call === null && polls === 0) return sendJson(response, 404, { error: "no such call" });
  sendJson(response, 200, { call_sid: callSid, status: call?.status ?? null, reason: call?.reason ?? null, polls });
}

function sendJson(response: ServerResponse, statusCode: number, body: unknown): void {
  sendAnswer(response, { statusCode, headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
}
