import type { CallScript } from "./call-script.ts";
import { accountKeys } from "./plan.ts";
import type { Plan, PlannedUrl } from "./plan.ts";
import { planPlacing } from "./plan-placing.ts";
import { planSteps } from "./plan-steps.ts";
import { Random } from "./random.ts";

const schedules = ["0s,2s,5s,15s", "0s,5s,20s", "0s,1s,3s,10s,30s", "0s,10s,30s,60s", "0s,500ms,1s,2s,4s,8s,8s,8s,8s,8s,8s,8s"];

/** Draws a world from its seed: the same seed is the same world, until this or the other generator is changed. */
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
  const scene = { accounts, storage, instances, durationMs, urls, calls } as const;
  const placing = planPlacing(new Random(seed, "placing"), scene);
  const steps = [...planSteps(random, scene), ...placing].toSorted((a, b) => a.atMs - b.atMs);
  return { seed, storage, instances, environment, accounts, urls, calls, steps };
}

function planEnvironment(random: Random): Record<string, string> {
  const intervalMs = random.pick([500, 1000, 2000, 3000]);
  const values: Readonly<Record<string, string | number>> = {
    RINGBACK_API_KEY: accountKeys[0] ?? "",
    RINGBACK_MAY_PLACE: "true",
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
