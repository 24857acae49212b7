import type { CallScript } from "./call-script.ts";
import type { Plan, PlannedUrl, Step, StepKind, WatchWish } from "./plan.ts";
import type { Random } from "./random.ts";

const settleMs = 5000;

/** What steps are drawn for. */
export type Scene = {
  readonly accounts: number;
  readonly storage: Plan["storage"];
  readonly instances: number;
  readonly durationMs: number;
  readonly urls: readonly PlannedUrl[];
  readonly calls: readonly CallScript[];
};

/** What places calls is drawn by `planPlacing`. */
type DrawnKind = Exclude<StepKind, "place">;

/** A step without its number and time; `Omit` over a union would lose the kinds. */
type StepBody = Step extends infer One ? (One extends Step ? Omit<One, "id" | "atMs"> : never) : never;

/** Draws the steps of a world, in the order of their times. */
export function planSteps(random: Random, scene: Scene): readonly Step[] {
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

function weightsOf(random: Random, { storage, instances }: Scene): readonly (readonly [number, DrawnKind])[] {
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
    // The clock of a shared database is its server's. Setting it is not simulated, because gates are stored in its time.
    [random.chance(0.25) && instances === 1 ? 1 : 0, "clock"],
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

function stepBody(random: Random, scene: Scene, kind: DrawnKind, account: number): StepBody {
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
