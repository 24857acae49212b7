import type { Auditor } from "./auditor.ts";
import { openOn, startProcess } from "./engine-adapter.ts";
import type { ApiAnswer, ApiRequest, EngineProcess, ProcessOptions } from "./engine-adapter.ts";
import type { Moment, Plan } from "./plan.ts";
import type { Plant } from "./plants.ts";
import { Random } from "./random.ts";
import type { Receivers } from "./receivers.ts";
import { Lifetime } from "./scheduler.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Timeline } from "./timeline.ts";
import type { Upstream } from "./upstream.ts";
import { SimulatedDisk } from "./writer-host.ts";
import type { DiskTrouble } from "./disk-trouble.ts";
import type { LeasedStore } from "./leased-store.ts";

export type ServiceLifeParts = {
  readonly plan: Plan;
  readonly path: string;
  readonly scheduler: Scheduler;
  readonly timeline: Timeline;
  readonly auditor: Auditor;
  readonly upstream: Upstream;
  readonly receivers: Receivers;
  readonly plant: Plant | null;
  readonly trouble: DiskTrouble;
  /** Which of several instances it is; 0 where it is alone. */
  readonly instance: number;
  /** What it shares with the others; null: it has the database alone. */
  readonly shared: LeasedStore | null;
};

/** Shorter than a service's, so that a world has time for an eviction; the longest attempt fits into it. */
const sharedLeaseTimes = { leaseMs: 8000, heartbeatMs: 1500, marginMs: 1500, beyondAttemptMs: 3000 };

/** The service over its restarts: one process after the other on the same database, as a supervisor of processes runs it. */
export class ServiceLife {
  readonly #parts: ServiceLifeParts;
  readonly #random: Random;
  /** What waits for an answer, and whether its answer may take longer than a grace. */
  readonly #pending = new Map<(answer: "lost") => void, { readonly isLong: boolean }>();
  #state: "down" | "starting" | "up" | "stopping" = "down";
  #process: EngineProcess | null = null;
  readonly #processes: EngineProcess[] = [];
  #lifetime = new Lifetime("none");
  #disk: SimulatedDisk | null = null;
  #starts = 0;
  #standstills = 0;
  #isEnding = false;
  #armed: { readonly after: Moment; readonly delayMs: number; readonly downMs: number }[] = [];
  /** Ends the wait for a stop that a crash came before. */
  #onCrash: () => void = () => undefined;

  constructor(parts: ServiceLifeParts) {
    this.#parts = parts;
    this.#random = new Random(parts.plan.seed, "service", parts.instance);
    this.#lifetime.endedAtMs = 0;
  }

  get process(): EngineProcess | null {
    return this.#state === "up" ? this.#process : null;
  }

  get isUp(): boolean {
    return this.#state === "up";
  }

  /** How many processes there have been, and how often one stood still. */
  get starts(): number {
    return this.#starts + this.#standstills;
  }

  start(): void {
    const { plan, path, scheduler, timeline, auditor, upstream, receivers, plant, trouble, instance, shared } = this.#parts;
    const lifetime = new Lifetime(`process ${++this.#starts}${shared === null ? "" : ` of instance ${instance}`}`);
    const random = new Random(plan.seed, "process", instance, this.#starts);
    this.#lifetime = lifetime;
    this.#state = "starting";
    timeline.note(`start of ${lifetime.name}`);
    const disk = new SimulatedDisk({
      scheduler,
      lifetime,
      fateOf: (requests) => trouble.fateOf(requests, false),
      onGroup: () => this.happened("group"),
      ...plant?.disk?.(this.#starts),
    });
    this.#disk = disk;
    const options: ProcessOptions = {
      environment: plan.environment,
      path,
      clock: scheduler.clockOf(lifetime),
      random: () => random.fraction(),
      open: (database) => (shared === null ? openOn(disk, database) : Promise.resolve(shared.openFor(lifetime))),
      leaseTimes: sharedLeaseTimes,
      sender: receivers.senderFor(lifetime),
      guard: { checkUrl: () => null, checkName: () => Promise.resolve(null) },
      upstreamOf: (name) => upstream.sourceFor(name, lifetime),
      onLine: (level, message, fields) => {
        if (lifetime.isOver) return;
        timeline.noteOf(
          () => `log ${level} ${message} ${JSON.stringify(fields)}`,
          () => namesIn(fields),
        );
        // An instance that is evicted says so; that it was is judged by what it does then.
        if (message === "instance.fenced") return;
        if (level === "error" && scheduler.nowMs > auditor.brokenUntilMs)
          auditor.violate("no errors of its own", `${message} ${JSON.stringify(fields)}`, ...namesIn(fields));
      },
      onFatal: (error) => {
        if (!lifetime.isOver) this.#die(error);
      },
      ...(plant?.aroundStore === undefined ? {} : { aroundStore: plant.aroundStore }),
    };
    startProcess(options).then(
      (process) => {
        if (lifetime.isOver) return;
        this.#processes.push(process);
        this.#process = process;
        this.#state = "up";
        timeline.note(`${lifetime.name} is up`);
        auditor.placings.ups.push({ lifetime, atMs: scheduler.nowMs });
      },
      (error: unknown) => {
        if (lifetime.isOver) return;
        // A disk that is full or busy refuses a start too: another one follows.
        if (!trouble.isRefusing) auditor.violate("start", error instanceof Error ? (error.stack ?? error.message) : String(error));
        this.crash(2000);
      },
    );
  }

  /** The process is gone at this instant: memory is dropped, what was committed stays. Another starts after `downMs`. */
  crash(downMs: number): void {
    if (this.#state === "down" || this.#isEnding) return;
    const { timeline, scheduler } = this.#parts;
    timeline.note(`crash of ${this.#lifetime.name}`);
    this.#end();
    scheduler.schedule(downMs, () => this.start());
  }

  /** A crash so long after the next of these. */
  armCrash(armed: { readonly after: Moment; readonly delayMs: number; readonly downMs: number }): void {
    this.#armed.push(armed);
  }

  happened(moment: Moment): void {
    const due = this.#armed.filter(({ after }) => after === moment);
    if (due.length === 0 || !this.isUp) return;
    this.#armed = this.#armed.filter(({ after }) => after !== moment);
    for (const { delayMs, downMs } of due) this.#parts.scheduler.schedule(delayMs, () => this.crash(downMs));
  }

  /** As by SIGTERM; resolves when it has ended. `downMs` null: for good. */
  async stop(graceMs: number, downMs: number | null): Promise<void> {
    const { timeline, scheduler } = this.#parts;
    const { process, lifetime } = { process: this.process, lifetime: this.#lifetime };
    if (process === null) return;
    timeline.note(`stop of ${lifetime.name} with a grace of ${graceMs} ms`);
    this.#state = "stopping";
    const crashed = new Promise<void>((resolve) => void (this.#onCrash = resolve));
    await Promise.race([process.stop(graceMs, this.#answered(graceMs, lifetime)), crashed]);
    if (lifetime.isOver) return;
    this.#checkNothingLeft(lifetime, graceMs);
    this.#end();
    if (downMs === null) this.#isEnding = true;
    else scheduler.schedule(downMs, () => this.start());
  }

  /** The world is given up in the middle of things. */
  abandon(): void {
    this.#isEnding = true;
    if (this.#state !== "down") this.#end();
    for (const process of this.#processes) process.abandon();
  }

  freeze(forMs: number): void {
    this.#parts.timeline.note(`${this.#lifetime.name} stands still for ${forMs} ms`);
    this.#standstills += 1;
    // A second standstill within a longer one does not end it: what was due before waits for the end of the first.
    this.#lifetime.frozenUntilMs = Math.max(this.#lifetime.frozenUntilMs, this.#parts.scheduler.nowMs + forMs);
  }

  heal(): void {
    this.#armed = [];
  }

  /** `lost`: the process ended, or was not there, before it answered; what was asked may have been done. */
  ask(request: ApiRequest): Promise<ApiAnswer | "lost"> {
    const { process } = this;
    if (process === null) return Promise.resolve("lost");
    const { promise, resolve } = Promise.withResolvers<ApiAnswer | "lost">();
    // A trigger takes up to 15 s, and its turn 10.
    this.#pending.set(resolve, { isLong: request.path === "/v1/calls" });
    process.request(request).then(
      (answer) => {
        if (!this.#pending.delete(resolve)) return;
        resolve(answer);
        if (request.method !== "GET") this.happened("answer");
      },
      (error: unknown) => {
        if (this.#pending.delete(resolve))
          this.#parts.auditor.violate("request", error instanceof Error ? (error.stack ?? error.message) : String(error));
      },
    );
    return promise;
  }

  /** The command line beside the service; null: it failed, or the process ended meanwhile. */
  async operate<T>(work: (operator: EngineProcess["operator"]) => Promise<T>): Promise<T | null> {
    const { process } = this;
    if (process === null) return null;
    const { promise, resolve } = Promise.withResolvers<T | null>();
    const giveUp = () => resolve(null);
    this.#pending.set(giveUp, { isLong: false });
    work(process.operator).then(resolve, giveUp);
    const result = await promise;
    this.#pending.delete(giveUp);
    return result;
  }

  #die(error: Error): void {
    const { auditor, timeline, trouble } = this.#parts;
    timeline.note(`${this.#lifetime.name} must end: ${error.message}`);
    // A close that takes longer than 10 s is cut; by then everything was committed.
    if (!trouble.isRefusing && this.#state !== "stopping") auditor.violate("no end without a cause", error.message);
    trouble.end("full", "full_after");
    this.crash(this.#random.int(1000, 3000));
  }

  #end(): void {
    const { scheduler, auditor } = this.#parts;
    this.#lifetime.endedAtMs = scheduler.nowMs;
    this.#state = "down";
    this.#process = null;
    this.#disk?.crash();
    auditor.processEnded(this.#lifetime);
    for (const resolve of this.#pending.keys()) resolve("lost");
    this.#pending.clear();
    this.#onCrash();
  }

  /** After a stop nothing of the process may be under way. */
  #checkNothingLeft(lifetime: Lifetime, graceMs: number): void {
    const { auditor, trouble } = this.#parts;
    if (lifetime.timers.size > 0) auditor.violate("nothing left", `${lifetime.timers.size} timers after a stop`);
    const isLong = graceMs >= 5000 && trouble.isQuiet && lifetime.frozenUntilMs < auditor.scheduler.nowMs - graceMs;
    const unanswered = [...this.#pending.values()].filter((request) => !request.isLong).length;
    if (unanswered > 0 && isLong) auditor.violate("nothing left", `${unanswered} requests unanswered after a stop`);
  }

  /** Like a server that is closed: what was asked before is answered, within the grace. */
  #answered(graceMs: number, lifetime: Lifetime): Promise<void> {
    const { scheduler } = this.#parts;
    const endMs = scheduler.nowMs + graceMs;
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = () => {
      if (this.#pending.size === 0 || scheduler.nowMs >= endMs) resolve();
      else scheduler.schedule(20, look, lifetime);
    };
    look();
    return promise;
  }
}

function namesIn(fields: Readonly<Record<string, unknown>>): readonly string[] {
  return Object.entries(fields).flatMap(([key, value]) => (key.endsWith("_id") && typeof value === "string" ? [value] : []));
}
