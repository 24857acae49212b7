import { ComputingTurns } from "../../src/engine/runtime/computing-turns.ts";
import { FakeClock } from "../harness/fake-clock.ts";
import { expect } from "vitest";
import { createSecretBox } from "../../src/adapters/sealing/secret-box.ts";
import { createApp } from "../../src/http/app.ts";
import { openApiDocument } from "../../src/http/operations/openapi.ts";
import { AnswerCheck } from "../harness/service/answer-check.ts";
import { answerOf, clientOn } from "../harness/service/client.ts";
import type { Answer } from "../harness/service/client.ts";
import type { HttpDependencies } from "../../src/http/operations/dependencies.ts";
import type { IdempotentRequest } from "../../src/ports/use-cases/idempotency.ts";
import type { KeyRequest } from "../../src/ports/use-cases/keys.ts";
import type { HookRequest, WatchChange, WatchRequest } from "../../src/ports/use-cases/registration.ts";
import { account, apiKeyView, attempt, auditRow, deliveryView, endpointView, eventView, hookView, portalLink, watchView } from "./views.ts";

export const apiKey = "rb_0123456789abcdef01234567";

type Parts = { readonly [Part in keyof HttpDependencies]?: Partial<HttpDependencies[Part]> };
export type Logged = { readonly level: string; readonly message: string; readonly fields: Readonly<Record<string, unknown>> };

const created = (request: WatchRequest) => ({
  kind: "created" as const,
  view: watchView({ callSid: request.callSid, callbackUrl: request.callbackUrl, filter: request.filter, metadata: request.metadata }),
  signingSecret: null,
});
const one =
  <T>(knownId: string, value: T) =>
  (_accountId: string, id: string) =>
    Promise.resolve(id === knownId ? value : null);
const page =
  <T>(value: T) =>
  () =>
    Promise.resolve({ data: [value], nextCursor: null });

const sourceHealths = () =>
  (["default", "sandbox"] as const).map((name) => ({
    name,
    kind: name === "sandbox" ? ("sandbox" as const) : ("polyai-legacy" as const),
    state: "ok" as const,
    reason: null,
    sinceMs: null,
    lastGoodPollAtMs: null,
    lastUnknownStatus: null,
    intervalMs: 2000,
  }));

let check: AnswerCheck | null = null;

/** Every answer that a test sees is what the document says. */
function checked(app: ReturnType<typeof createApp>): ReturnType<typeof createApp> {
  const request = app.request.bind(app);
  app.request = async (...args) => {
    const response = await request(...args);
    const [target, init] = args;
    const text = await response.clone().text();
    const { status, headers } = response;
    check ??= new AnswerCheck(openApiDocument(app, "0.1.0"));
    const answer = { method: init?.method ?? "GET", target: String(target), status, headers: Object.fromEntries(headers), text };
    expect(check.faultsOf(answer)).toEqual([]);
    return response;
  };
  return app;
}

/**
 * The API on ports that know one of everything (`wch_1`, `ep_1`, …), all of one account, and remember what they were
 * asked. `parts` replaces single methods of theirs.
 */
export function createTestApi(parts: Parts = {}) {
  const clock = new FakeClock();
  const watchRequests: WatchRequest[][] = [];
  const watchChanges: WatchChange[] = [];
  const hookRequests: HookRequest[] = [];
  const logged: Logged[] = [];
  const answered: { readonly route: string; readonly status: number }[] = [];
  const log = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) =>
    void logged.push({ level, message, fields });

  const defaults = {
    registration: {
      async registerWatch(_account: unknown, request: WatchRequest) {
        watchRequests.push([request]);
        return created(request);
      },
      async registerBatch(_account: unknown, requests: readonly WatchRequest[]) {
        watchRequests.push([...requests]);
        return { kind: "batch" as const, outcomes: requests.map(created) };
      },
      async changeWatch(_account: unknown, watchId: string, change: WatchChange) {
        watchChanges.push(change);
        if (watchId === "wch_1") return { kind: "changed" as const, view: watchView() };
        return { kind: watchId === "wch_2" ? ("ended" as const) : ("unknown" as const) };
      },
      removeWatch: async (_account: unknown, watchId: string) => watchId === "wch_1",
      async registerHook(_account: unknown, request: HookRequest) {
        hookRequests.push(request);
        return { kind: "created" as const, view: hookView({ url: request.url, filter: request.filter }), secret: null };
      },
      removeHook: async () => {},
    },
    endpointSettings: {
      patch: async (_account: unknown, id: string) => (id === "ep_1" ? endpointView() : null),
      rotateSecret: async (_account: unknown, id: string) =>
        id === "ep_1"
          ? { kind: "rotated" as const, signingSecret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", previousValidUntilMs: clock.nowMs() }
          : { kind: "unknown" as const },
      setDefaultSecret: async () => ({ kind: "set" as const, signingSecret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }),
    },
    manualDelivery: {
      retry: async (_account: unknown, id: string) =>
        id === "dlv_1" ? { kind: "accepted" as const, view: deliveryView() } : { kind: "unknown" as const },
      test: async (_account: unknown, id: string) =>
        id === "ep_1" ? { kind: "attempted" as const, attempt } : { kind: "unknown" as const },
      recover: async (_account: unknown, id: string) =>
        id === "ep_1" ? { kind: "recovered" as const, recovered: 3, hurried: 0, more: false } : { kind: "unknown" as const },
    },
    live: {
      impliedSourceName: () => "default",
      callProgress: () => null,
      sources: sourceHealths,
      allSources: sourceHealths,
      detectionDelays: () => null,
      instances: () => [{ token: null, isThis: true, shares: [] }],
      oldestDuePollMs: () => 0,
      changed: async () => "timeout",
      readiness: async () => ({ notReady: null, degraded: [] }),
    },
    idempotency: {
      take: async (request: IdempotentRequest) => ({ kind: "held" as const, request, [Symbol.dispose]: () => {} }),
      keep: async <Outcome>(_request: unknown, outcome: Outcome) => outcome,
    },
    authentication: { findByKey: async (key: string) => (key === apiKey ? { kind: "account" as const, account, key: apiKeyView } : null) },
    store: {
      endSession: async () => undefined,
      isSessionEnded: async () => false,
      getWatch: one("wch_1", watchView()),
      listWatches: page(watchView()),
      listWatchesByMetadata: page(watchView()),
      listWatchEvents: async ({ watchId }: { watchId: string }) => (watchId === "wch_1" ? { data: [eventView], nextCursor: null } : null),
      listTimeline: async ({ watchId }: { watchId: string }) =>
        watchId === "wch_1" ? { data: [{ ...eventView, deliveryCount: eventView.deliveries.length }], nextCursor: null } : null,
      getEvent: one("evt_1", eventView),
      readFeed: async () => ({ data: [eventView], cursors: ["1"], nextCursor: "1" }),
      listRecentEvents: async () => [],
      getCall: async ({ callSid, sourceName }: { callSid: string; sourceName: string }) =>
        callSid === "OUT-1" && sourceName === "default" ? { callSid, sourceName, status: watchView().call } : null,
      listDeliveries: page(deliveryView()),
      getDelivery: one("dlv_1", { view: deliveryView(), attempts: [attempt] }),
      getEndpoint: one("ep_1", endpointView()),
      countAttempts: async () => [],
      readActivity: async () => [],
      listEndpoints: page(endpointView()),
      getHook: one("hk_1", hookView()),
      listHooks: page(hookView()),
      pageKeys: page(apiKeyView),
      listAudit: page(auditRow),
      listPortalLinks: page(portalLink),
    },
    portals: {
      create: async () => ({ kind: "created" as const, link: portalLink, token: "token" }),
      revoke: async (_account: unknown, id: string) => id === "ptl_1",
      find: async () => null,
    },
    keys: {
      create: async (_account: unknown, _by: unknown, { name }: KeyRequest) => ({
        kind: "created" as const,
        view: { ...apiKeyView, name },
        key: "rb_0123456789abcdefghjkmnpqrstvwxyz01234567",
      }),
      revoke: async (_account: unknown, id: string) => id === "key_1",
    },
    secretBox: createSecretBox([Buffer.alloc(32, 7)]),
    clock,
    turns: new ComputingTurns(clock),
    logger: { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") },
    metrics: { httpAnswered: (route: string, status: number) => void answered.push({ route, status }) },
    sourceKinds: ["polyai-legacy", "polyai-agents", "sandbox"],
    limits: {
      apiMaxPerSecond: 0,
      maxActiveWatches: 200_000,
      maxWatchesPerCall: 100,
      maxEndpoints: 50_000,
      maxHooks: 100,
      manualMaxInFlight: 0,
      maxWaitingRequests: 0,
      maxStoredAnswersMib: 0,
    },
    retentionDays: 30,
    endpointMaxInFlight: 32,
    publicUrl: null,
    version: "0.1.0",
  };
  const dependencies = Object.fromEntries(
    Object.entries(defaults).map(([name, part]) => {
      const over = parts[name as keyof Parts];
      const replaced = typeof part !== "object" || part === null || Array.isArray(part) || name === "clock" || name === "turns";
      return [name, replaced ? (over ?? part) : { ...part, ...(over as object | undefined) }];
    }),
  ) as unknown as HttpDependencies;
  const unchecked = createApp(dependencies);
  const send = unchecked.request.bind(unchecked);
  const app = checked(unchecked);

  /** As `fetch`, for requests that `send` does not make: without a key, with a stream, with a signal. */
  const request = async (path: string, init?: RequestInit): Promise<Answer> => {
    const response = await app.request(path, init);
    return answerOf({ status: response.status, headers: Object.fromEntries(response.headers), text: await response.text() });
  };
  const client = clientOn((method, path, body, headers = {}) =>
    request(path, {
      method,
      headers: {
        authorization: `Bearer ${apiKey}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      } as Record<string, string>,
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    }),
  );
  /** Requests a body that never ends, which the check of other answers would wait for. */
  const stream = (path: string, headers: Record<string, string>, signal: AbortSignal | null = null) => send(path, { headers, signal });
  return { app, clock, stream, request, ...client, watchRequests, watchChanges, hookRequests, logged, answered };
}
