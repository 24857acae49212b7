import type { IncomingMessage, ServerResponse } from "node:http";
import { parseCallRequest, parseFaultRequest, parseRateRequest, parseShapeRequest } from "./control-requests.ts";
import type { Parsed } from "./control-requests.ts";
import { sendAnswer } from "./fault.ts";
import type { Fault } from "./fault.ts";
import type { JsonShape } from "./json-shapes.ts";
import { readJson } from "./local-server.ts";
import type { CallScript } from "./scripted-calls.ts";

const callPath = /^\/simulator\/calls\/([^/?]+)$/;

/** State that the routes under `/simulator` read and change. */
export interface SimulatorControls {
  /** Starts a call; returns its SID. */
  trigger(script: CallScript, callSid?: string): string;
  /** Adds a status API of any shape. */
  shape(shape: JsonShape): void;
  fault(fault: Fault): void;
  clearFaults(): void;
  /** Sets the number of polls per second that are answered; `null` removes the limit. */
  limitRate(perSecond: number | null): void;
  /** `null` if the call is unknown. */
  statusOf(callSid: string): { readonly status: string; readonly reason: string | null } | null;
  pollCount(callSid: string): number;
}

/** Answers the routes under `/simulator`, through which scripts in any language control the upstream. */
export async function answerControl(simulator: SimulatorControls, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const route = `${request.method ?? ""} ${request.url ?? ""}`;
  const callSid = callPath.exec(request.url ?? "")?.[1];
  if (request.method === "GET" && callSid !== undefined) return sendCall(simulator, callSid, response);
  switch (route) {
    case "POST /simulator/calls":
      return withBody(request, response, parseCallRequest, ({ callSid, script }) => {
        const started = simulator.trigger(script, callSid ?? undefined);
        sendJson(response, 201, { call_sid: started });
      });
    case "POST /simulator/shapes":
      return withBody(request, response, parseShapeRequest, (shape) => {
        simulator.shape(shape);
        response.writeHead(204).end();
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

function sendCall(simulator: SimulatorControls, callSid: string, response: ServerResponse): void {
  const call = simulator.statusOf(callSid);
  const polls = simulator.pollCount(callSid);
  if (call === null && polls === 0) return sendJson(response, 404, { error: "no such call" });
  sendJson(response, 200, { call_sid: callSid, status: call?.status ?? null, reason: call?.reason ?? null, polls });
}

function sendJson(response: ServerResponse, statusCode: number, body: unknown): void {
  sendAnswer(response, { statusCode, headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
}
