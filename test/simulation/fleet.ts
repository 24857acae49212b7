import type { Auditor } from "./auditor.ts";
import { DiskTrouble } from "./disk-trouble.ts";
import type { DiskFault } from "./disk-trouble.ts";
import { openOn, policyOf } from "./engine-adapter.ts";
import type { ApiAnswer, ApiRequest, EngineProcess } from "./engine-adapter.ts";
import { LeasedStore } from "./leased-store.ts";
import type { Moment } from "./plan.ts";
import { Random } from "./random.ts";
import { Lifetime } from "./scheduler.ts";
import type { Scheduler } from "./scheduler.ts";
import { ServiceLife } from "./service-life.ts";
import type { ServiceLifeParts } from "./service-life.ts";
import { SimulatedDisk } from "./writer-host.ts";

export type FleetParts = Omit<ServiceLifeParts, "trouble" | "instance" | "shared">;

/** Until a faulty operation is answered: a slow disk may hold up its group, and the answer. */
const faultAfterMs = 2500;

/** The service as its clients see it: one instance with a database of its own, or several on one that they share. */
export class Fleet {
  readonly #scheduler: Scheduler;
  readonly #auditor: Auditor;
  readonly #trouble: DiskTrouble;
  readonly #random: Random;
  readonly #instances: readonly ServiceLife[];

  /** Number of instances, also of those that are down. */
  get size(): number {
    return this.#instances.length;
  }

  readonly #shared: LeasedStore | null;
  #closeShared: () => void = () => undefined;

  constructor(parts: FleetParts) {
    const { plan, scheduler, auditor } = parts;
    this.#scheduler = scheduler;
    this.#auditor = auditor;
    this.#trouble = new DiskTrouble(plan.seed, scheduler);
    this.#random = new Random(plan.seed, "fleet");
    const shared = plan.instances > 1 ? this.#createShared(parts) : null;
    this.#shared = shared;
    this.#instances = Array.from(
      { length: plan.instances },
      (_, instance) => new ServiceLife({ ...parts, trouble: this.#trouble, instance, shared }),
    );
  }

  /** Starts all; rejects only because of a bug. */
  async start(): Promise<void> {
    await this.#shared?.start();
    for (const instance of this.#instances) instance.start();
  }

  /** A request may be sent: some instance takes it. */
  get isUp(): boolean {
    return this.#up.length > 0;
  }

  get areAllUp(): boolean {
    return this.#up.length === this.#instances.length;
  }

  /** How many processes there have been, and how often one stood still. */
  get starts(): number {
    return this.#instances.reduce((sum, { starts }) => sum + starts, 0);
  }

  /** Asks one of those that are up. */
  ask(request: ApiRequest): Promise<ApiAnswer | "lost"> {
    const up = this.#up;
    return up.length === 0 ? Promise.resolve("lost") : this.#random.pick(up).ask(request);
  }

  operate<T>(work: (operator: EngineProcess["operator"]) => Promise<T>): Promise<T | null> {
    return this.#up[0]?.operate(work) ?? Promise.resolve(null);
  }

  /** One of them; there may be fewer than the step was planned for. */
  instance(number: number): ServiceLife {
    const instance = this.#instances[number % this.#instances.length];
    if (instance === undefined) throw new Error("there is an instance");
    return instance;
  }

  happened(moment: Moment): void {
    for (const instance of this.#instances) instance.happened(moment);
  }

  troubleDisk(fault: DiskFault, forMs: number): void {
    this.#trouble.begin(fault, forMs);
    this.#auditor.timeline.note(`disk ${fault} for ${forMs} ms`);
    this.#auditor.noteDiskTrouble(forMs);
    if (fault === "broken")
      this.#auditor.brokenUntilMs = Math.max(this.#auditor.brokenUntilMs, this.#scheduler.nowMs + forMs + faultAfterMs);
  }

  heal(): void {
    this.#trouble.heal();
    for (const instance of this.#instances) instance.heal();
  }

  async stop(graceMs: number): Promise<void> {
    for (const instance of this.#instances) await instance.stop(graceMs, null);
  }

  abandon(): void {
    for (const instance of this.#instances) instance.abandon();
    this.#closeShared();
  }

  get #up(): readonly ServiceLife[] {
    return this.#instances.filter(({ isUp }) => isUp);
  }

  /** One server with the one real store, which outlives every instance. */
  #createShared({ plan, path, scheduler, auditor, plant }: FleetParts): LeasedStore {
    const lifetime = new Lifetime("database");
    const disk = new SimulatedDisk({
      scheduler,
      lifetime,
      fateOf: (requests) => this.#trouble.fateOf(requests, true),
      onGroup: () => this.happened("group"),
      ...plant?.disk?.(1),
    });
    this.#closeShared = () => disk.crash();
    const isAway = () => this.#trouble.has("busy") || this.#trouble.has("full");
    return new LeasedStore({
      scheduler,
      random: new Random(plan.seed, "leases"),
      open: async () => (await openOn(disk, { path, policy: policyOf(plan.environment), clock: scheduler.clockOf(lifetime) })).store,
      connection: () => disk.connection,
      trouble: () => (isAway() ? "away" : this.#trouble.has("full_after") ? "answers_lost" : "none"),
      onEvicted: (evicted) => {
        auditor.timeline.note(`${evicted.name} is evicted or has left`);
        evicted.fencedAtMs.push(scheduler.nowMs);
        auditor.instanceFenced(evicted);
      },
      isFenceless: plant?.isFenceless ?? false,
    });
  }
}
