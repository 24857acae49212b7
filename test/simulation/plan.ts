import { Random } from "./random.ts";
import type { ReceiverTrouble } from "./receivers.ts";
import type { CallScript, UpstreamTrouble } from "./upstream.ts";

/** A callback URL of one account, and what its registrations say of the endpoint. */
export type PlannedUrl = {
  readonly account: number;
  readonly url: string;
  readonly format: "standard" | "flat" | "form" | "cloudevents" | null;
  readonly secret: string | null;
};

export type WatchWish = {
  readonly call: number;
  /** null: only a hook or the feed. */
  readonly url: number | null;
  readonly events: readonly string[] | null;
  readonly metadata: Readonly<Record<string, string>>;
  readonly expiresInMs: number | null;
};

/** Where a crash is likely to hurt: a group was run, an answer left, a webhook went out or was answered, a poll was answered. */
export type Moment = "group" | "answer" | "send" | "send_end" | "poll";

/** What somebody or something does. `of` names the step whose watch or hook is meant. */
export type Step = { readonly id: number; readonly atMs: number } & (
  | { readonly kind: "register"; readonly account: number; readonly watch: WatchWish; readonly keyed: boolean }
  | { readonly kind: "batch"; readonly account: number; readonly watches: readonly WatchWish[]; readonly keyed: boolean }
  | {
      readonly kind: "hook";
      readonly account: number;
      readonly url: number;
      readonly events: readonly string[] | null;
      readonly keyed: boolean;
    }
  | { readonly kind: "delete_hook"; readonly account: number; readonly of: number }
  | { readonly kind: "delete_watch"; readonly account: number; readonly of: number; readonly purge: boolean }
  | { readonly kind: "patch"; readonly account: number; readonly url: number; readonly change: Readonly<Record<string, unknown>> }
  | { readonly kind: "rotate"; readonly account: number; readonly url: number; readonly graceSeconds: number; readonly keyed: boolean }
  | { readonly kind: "retry"; readonly account: number; readonly status: string; readonly pick: number }
  | { readonly kind: "recover"; readonly account: number; readonly url: number; readonly keyed: boolean }
  | { readonly kind: "test"; readonly account: number; readonly url: number; readonly keyed: boolean }
  | { readonly kind: "wait"; readonly account: number; readonly of: number; readonly seconds: number }
  | { readonly kind: "read_feed"; readonly account: number; readonly wait: number; readonly limit: number; readonly isKilled: boolean }
  | { readonly kind: "look"; readonly account: number; readonly at: "watches" | "deliveries" | "endpoints" | "sources" | "me" | "ready" }
  | { readonly kind: "flood"; readonly account: number; readonly count: number }
  | { readonly kind: "revoke_key"; readonly account: number }
  | { readonly kind: "clock"; readonly byMs: number }
  /** At once, or so long after the next of these. */
  | { readonly kind: "crash"; readonly instance: number; readonly after: Moment | null; readonly delayMs: number; readonly downMs: number }
  | { readonly kind: "restart"; readonly instance: number; readonly graceMs: number; readonly downMs: number }
  | { readonly kind: "freeze"; readonly instance: number; readonly forMs: number }
  | { readonly kind: "disk"; readonly fault: "busy" | "full" | "full_after" | "slow" | "broken"; readonly forMs: number }
  | { readonly kind: "upstream"; readonly trouble: UpstreamTrouble; readonly forMs: number; readonly share: number }
  | {
      readonly kind: "receiver";
      /** The URL; with `isHost` all of its host. */
      readonly url: number;
      readonly isHost: boolean;
      readonly trouble: ReceiverTrouble;
      readonly forMs: number;
      readonly share: number;
      readonly seconds: number;
    }
);

export type StepKind = Step["kind"];

/** One world: everything that is to happen in it. What else is random in it follows from the seed and a name. */
export type Plan = {
  readonly seed: number;
  readonly storage: "memory" | "file";
  /** Of the service; more than one share a store, whose leases are a fake. */
  readonly instances: number;
  readonly environment: Readonly<Record<string, string>>;
  readonly accounts: number;
  readonly urls: readonly PlannedUrl[];
  readonly calls: readonly CallScript[];
  readonly steps: readonly Step[];
};

/** What the auditor must know of the environment. */
export type PlannedLimits = {
  readonly scheduleMs: readonly number[];
  readonly orderHoldMs: number;
  readonly maxPollsPerSecond: number;
  readonly endpointMaxInFlight: number;
  readonly maxInFlight: number;
  readonly maxActiveWatches: number;
  readonly apiMaxPerSecond: number;
  readonly timeoutMs: number;
  readonly retentionMs: number;
};

export const accountKeys = ["simulated-key-of-account-0", "simulated-key-of-account-1", "simulated-key-of-account-2"];
const schedules = ["0s,2s,5s,15s", "0s,5s,20s", "0s,1s,3s,10s,30s", "0s,10s,30s,60s", "0s,500ms,1s,2s,4s,8s,8s,8s,8s,8s,8s,8s"];
const settleMs = 5000;

export function planOf(seed: number): Plan {
  const random = new Random(seed, "plan");
  const accounts = random.weighted([
    [5, 1],
    [4, 2],
    [1, 3],
  ]);
  const instances = new Random(seed, "instances").weighted([
    [12, 1],
    [2, 2],
    [1, 3],
  ]);
  const storage = random.chance(0.7) && instances === 1 ? "file" : "memory";
  const durationMs = random.int(20, 90) * 1000;
  const urls = planUrls(random, accounts);
  const calls = planCalls(random, durationMs);
  const environment = { ...planEnvironment(random), ...(instances > 1 ? { DELIVERY_TIMEOUT_MS: "2000" } : {}) };
  const steps = planSteps(random, { accounts, storage, instances, durationMs, urls, calls });
  return { seed, storage, instances, environment, accounts, urls, calls, steps };
}

export function limitsOf({ environment }: Pick<Plan, "environment">): PlannedLimits {
  const number = (name: string) => Number(environment[name]);
  const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 };
  const scheduleMs = (environment["RETRY_SCHEDULE"] ?? "").split(",").map((entry) => {
    const [, count, unit] = /^(\d+)(ms|s|m)$/.exec(entry) ?? [];
    return Number(count) * (units[unit ?? ""] ?? Number.NaN);
  });
  return {
    scheduleMs,
    orderHoldMs: number("ORDER_HOLD_MS"),
    maxPollsPerSecond: number("POLYAI_MAX_POLLS_PER_SECOND"),
    endpointMaxInFlight: number("ENDPOINT_MAX_IN_FLIGHT"),
    maxInFlight: number("DELIVERY_MAX_IN_FLIGHT"),
    maxActiveWatches: number("ACCOUNT_MAX_ACTIVE_WATCHES"),
    apiMaxPerSecond: number("API_MAX_PER_SECOND"),
    timeoutMs: number("DELIVERY_TIMEOUT_MS"),
    retentionMs: number("RETENTION_DAYS") * 86_400_000,
  };
}

function planEnvironment(random: Random): Record<string, string> {
  const intervalMs = random.pick([500, 1000, 2000, 3000]);
  const values: Readonly<Record<string, string | number>> = {
    RINGBACK_API_KEY: accountKeys[0] ?? "",
    RINGBACK_ENCRYPTION_KEY: Buffer.alloc(32, 7).toString("base64"),
    POLYAI_KIND: "polyai-legacy",
    POLYAI_BASE_URL: "https://upstream.test",
    POLYAI_AUTH_TOKEN: "simulated",
    POLYAI_MAX_POLLS_PER_SECOND: random.pick([2, 5, 10, 50, 200]),
    POLL_INTERVAL_MIN_MS: intervalMs,
    POLL_INTERVAL_MAX_MS: intervalMs * 2,
    RETRY_SCHEDULE: random.pick(schedules),
    ORDER_HOLD_MS: random.pick([3000, 8000, 20_000, 60_000]),
    ENDPOINT_DISABLE_AFTER_MS: random.pick([15_000, 60_000, 432_000_000]),
    DELIVERY_TIMEOUT_MS: random.pick([2000, 5000, 15_000]),
    DELIVERY_MAX_IN_FLIGHT: random.pick([2, 4, 16, 512]),
    ENDPOINT_MAX_IN_FLIGHT: random.pick([1, 2, 8, 32]),
    HOST_MAX_IN_FLIGHT: random.pick([1, 4, 64]),
    NOT_FOUND_GRACE_MS: random.pick([2000, 10_000, 30_000]),
    LOST_AFTER_MS: random.pick([4000, 20_000, 60_000]),
    WATCH_DEADLINE_MS: random.pick([600_000, 86_400_000]),
    RETENTION_DAYS: random.weighted([
      [9, 30],
      [1, 0.0005],
    ]),
    API_MAX_PER_SECOND: random.pick([0, 20, 1000]),
    ACCOUNT_MAX_ACTIVE_WATCHES: random.weighted([
      [3, 200_000],
      [1, 6],
    ]),
    ACCOUNT_MAX_ENDPOINTS: 50,
    ACCOUNT_MAX_HOOKS: 5,
    CALLBACK_ALLOW_HTTP: "false",
    SHUTDOWN_GRACE_MS: 0,
    LOG_LEVEL: "silent",
  };
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]));
}

function planUrls(random: Random, accounts: number): readonly PlannedUrl[] {
  const urls: PlannedUrl[] = [];
  for (let account = 0; account < accounts; account++) {
    const hosts = random.int(1, 2);
    const count = random.int(1, 3);
    for (let index = 0; index < count; index++) {
      const host = `https://receiver-${account}-${index % hosts}.example.com`;
      urls.push({
        account,
        url: `${host}/hooks/${index}`,
        format: random.pick([null, "standard", "flat", "form", "cloudevents"]),
        secret: random.chance(0.5) ? `whsec_${Buffer.alloc(24, account * 16 + index + 1).toString("base64")}` : null,
      });
    }
  }
  return urls;
}

function planCalls(random: Random, durationMs: number): readonly CallScript[] {
  const count = random.int(1, 8);
  return Array.from({ length: count }, (_, index): CallScript => {
    const kind = random.weighted([
      [10, "plain"],
      [2, "fast"],
      [2, "odd"],
      [1, "backwards"],
      [1, "never"],
      [1, "rejected"],
      [1, "forgotten"],
      [1, "vanishes"],
    ] as const);
    const ending = random.chance(0.6)
      ? { status: "success", reason: "" }
      : { status: "failure", reason: random.pick(["busy", "no answer", "call queueing: max timeout limit exceeded"]) };
    const phase = (status: string, maxMs: number) => ({
      status,
      reason: random.chance(0.1) ? "waiting" : "",
      forMs: random.int(200, maxMs),
    });
    const phases = {
      plain: [phase("queued", 20_000), phase("calling", 30_000)],
      fast: random.chance(0.5) ? [] : [phase("queued", 1500)],
      odd: [phase("queued", 8000), phase("on-hold", 8000), phase("calling", 10_000)],
      backwards: [phase("queued", 5000), phase("calling", 8000), phase("queued", 8000), phase("calling", 8000)],
      never: [],
      rejected: [],
      forgotten: [phase("queued", 8000), phase("calling", 8000)],
      vanishes: [phase("queued", 10_000), phase("calling", 10_000)],
    }[kind];
    return {
      sid: `OUT-call-${index}`,
      source: "default",
      bornAtMs: kind === "never" ? Number.MAX_SAFE_INTEGER : random.chance(0.7) ? 0 : random.int(0, durationMs / 2),
      phases,
      ending: kind === "vanishes" ? null : ending,
      forgottenAfterMs: kind === "forgotten" ? random.int(500, 20_000) : null,
      isRejected: kind === "rejected",
    };
  });
}

type Scene = {
  readonly accounts: number;
  readonly storage: Plan["storage"];
  readonly instances: number;
  readonly durationMs: number;
  readonly urls: readonly PlannedUrl[];
  readonly calls: readonly CallScript[];
};

/** A step without its number and time; `Omit` over a union would lose the kinds. */
type StepBody = Step extends infer One ? (One extends Step ? Omit<One, "id" | "atMs"> : never) : never;

function planSteps(random: Random, scene: Scene): readonly Step[] {
  const count = random.int(10, 45);
  const weights = weightsOf(random, scene);
  const bodies: { readonly body: StepBody; readonly atMs: number }[] = [];
  // A world begins with something to do.
  for (let account = 0; account < scene.accounts; account++)
    bodies.push({ atMs: settleMs + random.int(0, 3000), body: registration(random, scene, account) });
  for (let index = 0; index < count; index++) {
    const atMs = settleMs + random.int(0, scene.durationMs);
    bodies.push({ atMs, body: stepBody(random, scene, random.weighted(weights), random.int(0, scene.accounts - 1)) });
  }
  const ordered = bodies.toSorted((a, b) => a.atMs - b.atMs);
  return ordered.map(({ atMs, body }, id) => ({ id, atMs, ...refersTo(random, body, id) }) as Step);
}

/** Steps about a watch or hook mean one that was asked for before. */
function refersTo(random: Random, body: StepBody, id: number): StepBody {
  return "of" in body ? { ...body, of: Math.max(0, id - 1 - Math.floor(random.fraction() ** 2 * id)) } : body;
}

function weightsOf(random: Random, { storage, instances }: Scene): readonly (readonly [number, StepKind])[] {
  // Not every world has every kind of trouble: some is found only where the rest is quiet.
  const trouble = (weight: number) => (random.chance(0.6) ? weight : 0);
  const survives = storage === "file" || instances > 1 ? 1 : 0;
  return [
    [12, "register"],
    [3, "batch"],
    [3, "hook"],
    [trouble(1), "delete_hook"],
    [trouble(4), "delete_watch"],
    [trouble(4), "patch"],
    [trouble(2), "rotate"],
    [trouble(3), "retry"],
    [trouble(2), "recover"],
    [trouble(2), "test"],
    [2, "wait"],
    [5, "read_feed"],
    [2, "look"],
    [trouble(1), "flood"],
    [trouble(1), "revoke_key"],
    [random.chance(0.25) ? 1 : 0, "clock"],
    [survives * trouble(5), "crash"],
    [survives * trouble(3), "restart"],
    [trouble(instances > 1 ? 5 : 1), "freeze"],
    [trouble(2), "disk"],
    [trouble(4), "upstream"],
    [trouble(9), "receiver"],
  ];
}

function wish(random: Random, { urls, calls }: Scene, account: number): WatchWish {
  const own = urls.flatMap((url, index) => (url.account === account ? [index] : []));
  return {
    call: random.int(0, calls.length - 1),
    url: random.chance(0.9) ? random.pick(own) : null,
    events: random.weighted<readonly string[] | null>([
      [6, null],
      [2, ["terminal"]],
      [1, ["call.calling", "terminal"]],
      [1, ["call.*"]],
      [1, ["call.queued"]],
    ]),
    metadata: random.chance(0.3) ? { lead_id: `L-${random.int(1, 3)}` } : {},
    expiresInMs: random.chance(0.1) ? random.int(3, 60) * 1000 : null,
  };
}

function registration(random: Random, scene: Scene, account: number): StepBody {
  return { kind: "register", account, watch: wish(random, scene, account), keyed: random.chance(0.5) };
}

function stepBody(random: Random, scene: Scene, kind: StepKind, account: number): StepBody {
  const own = scene.urls.flatMap((url, index) => (url.account === account ? [index] : []));
  const url = random.pick(own);
  const keyed = random.chance(0.5);
  switch (kind) {
    case "register":
      return registration(random, scene, account);
    case "batch":
      return { kind, account, watches: Array.from({ length: random.int(1, 6) }, () => wish(random, scene, account)), keyed };
    case "hook":
      return {
        kind,
        account,
        url,
        events: random.pick([null, null, ["terminal"], ["call.*", "endpoint.disabled"], ["delivery.exhausted"]]),
        keyed,
      };
    case "delete_hook":
      return { kind, account, of: 0 };
    case "delete_watch":
      return { kind, account, of: 0, purge: random.chance(0.5) };
    case "patch":
      return { kind, account, url, change: patchOf(random) };
    case "rotate":
      return { kind, account, url, graceSeconds: random.pick([0, 5, 60, 86_400]), keyed };
    case "retry":
      return { kind, account, status: random.pick(["pending", "exhausted", "delivered", "failed"]), pick: random.fraction() };
    case "recover":
    case "test":
      return { kind, account, url, keyed };
    case "wait":
      return { kind, account, of: 0, seconds: random.int(1, 30) };
    case "read_feed":
      return {
        kind,
        account,
        wait: random.chance(0.4) ? random.int(1, 20) : 0,
        limit: random.pick([1, 3, 50, 200]),
        isKilled: random.chance(0.3),
      };
    case "look":
      return { kind, account, at: random.pick(["watches", "deliveries", "endpoints", "sources", "me", "ready"] as const) };
    case "flood":
      return { kind, account, count: random.int(20, 60) };
    case "revoke_key":
      return { kind, account };
    case "clock":
      return { kind, byMs: random.pick([-1, 1]) * random.int(31, 3600) * 1000 };
    case "crash":
      return {
        kind,
        instance: random.int(0, scene.instances - 1),
        after: random.pick([null, "group", "answer", "answer", "send", "send", "send_end", "poll"] as const),
        delayMs: random.int(0, 12),
        downMs: random.int(1000, 6000),
      };
    case "restart":
      return {
        kind,
        instance: random.int(0, scene.instances - 1),
        graceMs: random.pick([0, 500, 5000, 20_000]),
        downMs: random.int(1000, 3000),
      };
    case "freeze":
      return { kind, instance: random.int(0, scene.instances - 1), forMs: random.int(1, 40) * 500 };
    case "disk":
      return {
        kind,
        fault: random.weighted([
          [4, "busy"],
          [scene.storage === "file" || scene.instances > 1 ? 2 : 0, "full"],
          [scene.storage === "file" ? 1 : scene.instances > 1 ? 3 : 0, "full_after"],
          [3, "slow"],
          [2, "broken"],
        ] as const),
        forMs: random.int(1, 16) * 500,
      };
    case "upstream":
      return {
        kind,
        trouble: random.pick([
          "server_error",
          "timeout",
          "reset",
          "dns",
          "not_json",
          "unauthorized",
          "forbidden",
          "rate_limited",
          "rate_limited_for",
          "slow",
          "not_started",
        ] as const),
        forMs: random.int(1, 40) * 500,
        share: random.pick([1, 0.5, 0.2]),
      };
    case "receiver":
      return {
        kind,
        url: random.int(0, scene.urls.length - 1),
        isHost: random.chance(0.3),
        trouble: random.weighted([
          [2, "timeout"],
          [2, "reset_before"],
          [2, "reset_amid"],
          [1, "reset_after"],
          [2, "not_found"],
          [1, "bad_request"],
          [5, "server_error"],
          [1, "redirect"],
          [1, "gone"],
          [2, "rate_limited"],
          [4, "rate_limited_for"],
          [1, "rate_limited_until"],
          [2, "unavailable"],
          [2, "unavailable_for"],
          [1, "bad_gateway"],
          [1, "dns"],
          [1, "connect"],
          [1, "tls"],
          [1, "blocked"],
          [3, "slow"],
          [1, "odd_retry_after"],
          [1, "not_started"],
        ] as const),
        forMs: random.int(1, 80) * 500,
        share: random.pick([1, 1, 0.5, 0.2]),
        seconds: random.int(1, 40),
      };
  }
}

function patchOf(random: Random): Readonly<Record<string, unknown>> {
  return random.weighted<Readonly<Record<string, unknown>>>([
    [3, { state: "paused" }],
    [4, { state: "enabled" }],
    [2, { state: "disabled" }],
    [1, { max_in_flight: random.int(1, 4) }],
    [1, { max_per_second: random.pick([0.5, 2, null]) }],
    [1, { late: random.pick(["send", "drop"]) }],
    [1, { format: random.pick(["standard", "flat", "form", "cloudevents"]) }],
    [1, { headers: { "x-team": `t${random.int(1, 3)}` } }],
    [1, { signatures: ["v1", "v1a"] }],
  ]);
}
