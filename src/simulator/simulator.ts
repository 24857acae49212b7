import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../ports/clock.ts";
import { answerControl } from "./control-api.ts";
import { parseTriggerRequest, polyaiCallSid, scenarioOf } from "./control-requests.ts";
import { FaultQueue, sendAnswer, injectFault, faultStatus } from "./fault.ts";
import type { Answer, Fault } from "./fault.ts";
import { JsonShapes, shapedAnswer, shapedError, shapedTrigger } from "./json-shapes.ts";
import type { JsonShape } from "./json-shapes.ts";
import { LocalServer, readJson } from "./local-server.ts";
import type { LocalAddress } from "./local-server.ts";
import { PollLog } from "./poll-log.ts";
import type { PolledKind, PollRecord } from "./poll-log.ts";
import { RateWindow } from "./rate-window.ts";
import type { Scenario, ScenarioName } from "./scenarios.ts";
import { ScriptedCalls } from "./scripted-calls.ts";
import type { CallScript } from "./scripted-calls.ts";
import { matchUpstream } from "./upstream-api.ts";
import type { UpstreamApi, UpstreamKind, UpstreamRequest } from "./upstream-api.ts";

export type SimulatorOptions = LocalAddress & {
  /** Clock of lives, delays and poll times; the machine's by default. */
  readonly clock?: Clock;
  /** Required value of `X-PolyAi-Auth-Token`; `null` accepts any. */
  readonly authToken?: string | null;
  /** Required value of `X-API-KEY`; `null` accepts any. */
  readonly apiKey?: string | null;
  /** Life that begins with the first poll of a SID that was not triggered. If `null` (the default), such a SID is answered 404. */
  readonly adopt?: Scenario | ScenarioName | null;
  /** Time that a status is kept after the call ended; 2 h as documented. */
  readonly retentionMs?: number;
  /** Number of polls that `polls` keeps. */
  readonly pollLogSize?: number;
  readonly maxCalls?: number;
};

type StatusRequest = Extract<UpstreamRequest, { kind: "status" }>;

const machineClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(delayMs, fire) {
    const timer = setTimeout(fire, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
  nextTurn: (run) => void setImmediate(run),
};

/** Starts the upstream: status and trigger routes of both APIs, and its controls under `/simulator`. */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const simulator = new Simulator(options);
  await simulator.listen(options);
  return simulator;
}

/** Simulated upstream. Both APIs share the same calls. */
export class Simulator extends LocalServer {
  readonly #options: SimulatorOptions;
  readonly #clock: Clock;
  readonly #calls: ScriptedCalls;
  readonly #log: PollLog;
  readonly #faults = new FaultQueue();
  readonly #shapes = new JsonShapes();
  #rate: { readonly window: RateWindow; readonly retryAfter: string | null } | null = null;

  constructor(options: SimulatorOptions) {
    super();
    this.#options = options;
    this.#clock = options.clock ?? machineClock;
    const maxCalls = options.maxCalls ?? 1_000_000;
    this.#log = new PollLog({ capacity: options.pollLogSize ?? 10_000, maxCalls });
    this.#calls = new ScriptedCalls({ retentionMs: options.retentionMs ?? 7_200_000, maxCalls });
  }

  /** Sets the script of a call; its life starts now. */
  script(callSid: string, script: CallScript): void {
    this.#calls.start(callSid, script, this.#clock.monotonicMs());
  }

  /** Creates a call and returns its SID. */
  trigger(script: CallScript = {}, callSid = `OUT-${randomUUID()}`): string {
    this.script(callSid, script);
    return callSid;
  }

  /** Adds a status API of any shape, which plays the calls too. */
  shape(shape: JsonShape): void {
    this.#shapes.add(shape);
  }

  /** Adds a fault that affects polls of every call, before the calls' own faults. */
  fault(fault: Fault): void {
    this.#faults.add(fault);
  }

  /** Clears the faults of the whole upstream; those of single calls stay. */
  clearFaults(): void {
    this.#faults.clear();
  }

  /** Answers 429 to polls beyond this rate per second; `null` removes the limit. */
  limitRate(perSecond: number | null, retryAfter: string | null = null): void {
    this.#rate = perSecond === null ? null : { window: new RateWindow(perSecond), retryAfter };
  }

  /** Last polls, oldest first. */
  get polls(): readonly PollRecord[] {
    return this.#log.list();
  }

  get totalPolls(): number {
    return this.#log.total;
  }

  pollCount(callSid: string): number {
    return this.#log.countOf(callSid);
  }

  /** Resolves once the call was polled `count` times in all. */
  polled(callSid: string, count = 1): Promise<void> {
    return this.#log.reached(callSid, count);
  }

  /** Returns the answer that a poll would get now without faults; `null` if it is a 404. */
  statusOf(callSid: string): { readonly status: string; readonly reason: string | null; readonly verbatim: boolean } | null {
    const call = this.#calls.get(callSid);
    const phase = call === null ? null : this.#calls.phaseOf(call, this.#clock.monotonicMs());
    if (call === null || phase === null || phase.status === null) return null;
    return { status: phase.status, reason: phase.reason === undefined ? "" : phase.reason, verbatim: call.verbatim };
  }

  /** Environment variables that point a service at this upstream. */
  environment(kind: UpstreamKind): Readonly<Record<string, string>> {
    const common = { POLYAI_KIND: kind, POLYAI_BASE_URL: this.url };
    if (kind === "polyai-legacy") return { ...common, POLYAI_AUTH_TOKEN: this.#options.authToken ?? "any" };
    const agent = { POLYAI_AGENT_ID: "agent-simulated", POLYAI_ENVIRONMENT: "live" };
    return { ...common, ...agent, POLYAI_API_KEY: this.#options.apiKey ?? "any" };
  }

  protected override async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const matched = matchUpstream(request.method ?? "", request.url ?? "");
    const shaped = matched === null ? this.#shapes.match(request.method ?? "", request.url ?? "") : null;
    const triggered = matched === null ? this.#shapes.matchTrigger(request.method ?? "", request.url ?? "") : null;
    if (matched?.kind === "status") this.#answerStatus(matched, request, response);
    else if (matched?.kind === "trigger") await this.#answerTrigger(matched.api, request, response);
    else if (triggered?.trigger !== undefined) await this.#answerShapedTrigger(triggered, triggered.trigger, request, response);
    else if (shaped !== null) this.#answerShape(shaped.shape, shaped.callSid, request, response);
    else await answerControl(this, request, response);
  }

  #answerStatus(matched: StatusRequest, request: IncomingMessage, response: ServerResponse): void {
    const { api, callSid } = matched;
    this.#send(response, callSid, api.kind, this.#statusAnswer(matched, request), (code) => api.errorAnswer(code));
  }

  #answerShape(shape: JsonShape, callSid: string, request: IncomingMessage, response: ServerResponse): void {
    const { authorization } = shape;
    const call = this.#calls.get(callSid);
    const phase = call === null ? null : this.#calls.phaseOf(call, this.#clock.monotonicMs());
    const isRefused = authorization !== undefined && request.headers.authorization !== authorization;
    const usual = isRefused ? shapedError(401) : phase === null ? shapedError(404) : shapedAnswer(shape, callSid, phase);
    this.#send(response, callSid, "json", usual, shapedError);
  }

  /** Starts a call for any body; `metadata.scenario` of a JSON body names its life. */
  async #answerShapedTrigger(
    { authorization }: JsonShape,
    trigger: NonNullable<JsonShape["trigger"]>,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (authorization !== undefined && request.headers.authorization !== authorization) return sendAnswer(response, shapedError(401));
    sendAnswer(response, shapedTrigger(trigger, this.trigger({ scenario: scenarioOf(await readJson(request)) })));
  }

  /** Sends the usual answer, or the fault that replaces it, and logs the poll. */
  #send(response: ServerResponse, callSid: string, kind: PolledKind, usual: Answer, errorAnswer: (statusCode: number) => Answer): void {
    const fault = this.#faults.take() ?? this.#calls.get(callSid)?.faults?.take() ?? null;
    const statusCode = fault === null ? usual.statusCode : faultStatus(fault, usual);
    if (fault === null) sendAnswer(response, usual);
    else injectFault(response, fault, usual, errorAnswer, this.#clock);
    this.#log.record({ callSid, kind, atMs: this.#clock.nowMs(), statusCode });
  }

  /** Returns the answer to a status request. Checks in the order of the real API: credential, rate, form of the SID, call. */
  #statusAnswer({ api, callSid, wellFormed }: StatusRequest, request: IncomingMessage): Answer {
    if (!this.#authorized(api, request)) return api.errorAnswer(401);
    const limited = this.#limited(api);
    if (limited !== null) return limited;
    if (!wellFormed || !polyaiCallSid.test(callSid)) return api.errorAnswer(400);
    const { adopt } = this.#options;
    if (adopt && this.#calls.get(callSid) === null) this.script(callSid, { scenario: adopt });
    const said = this.statusOf(callSid);
    return said === null ? api.errorAnswer(404) : api.statusAnswer(callSid, said.status, said.reason, said.verbatim);
  }

  async #answerTrigger(api: UpstreamApi, request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!this.#authorized(api, request)) return sendAnswer(response, api.errorAnswer(401));
    const parsed = parseTriggerRequest(await readJson(request));
    sendAnswer(response, parsed.kind === "invalid" ? api.errorAnswer(400) : api.triggerAnswer(this.trigger(parsed.value)));
  }

  #authorized(api: UpstreamApi, request: IncomingMessage): boolean {
    const expected = api.kind === "polyai-legacy" ? this.#options.authToken : this.#options.apiKey;
    return expected === undefined || expected === null || request.headers[api.credentialHeader] === expected;
  }

  #limited(api: UpstreamApi): Answer | null {
    if (this.#rate === null || this.#rate.window.admits(this.#clock.monotonicMs())) return null;
    const answer = api.errorAnswer(429);
    const { retryAfter } = this.#rate;
    return retryAfter === null ? answer : { ...answer, headers: { ...answer.headers, "retry-after": retryAfter } };
  }
}
