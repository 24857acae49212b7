import { answered, minute, ok, second, statusChange } from "../../harness/store-drafts.ts";
import type { StoreWorld } from "../../harness/store-drafts.ts";
import type { SendJob } from "../../../src/ports/stores/send-job.ts";

const callUrl = "https://crm.northwind.example/hooks/calls";
const warehouseUrl = "https://warehouse.northwind.example/events";
const flowUrl = "https://hooks.flow.example/catch/8842/call-ended";
const oldUrl = "https://legacy.northwind.example/polyai";
/** A call whose webhooks came late at the warehouse. */
const shownStartsBeforeMs = 4 * minute;

type Due = { readonly atMs: number; readonly run: () => Promise<void> };

/** Numbers that look like chance and are the same every time. */
function numbersFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** The calls of an hour in an account, as the engine would have committed them: the time of the world passes with them. */
export class DemoAccount {
  readonly #world: StoreWorld;
  readonly #next = numbersFrom(11);
  readonly #agenda: Due[] = [];
  readonly #untilMs: number;

  constructor(world: StoreWorld, untilMs: number) {
    this.#world = world;
    this.#untilMs = untilMs;
  }

  /** Lets the hour pass. Resolves with the id of the watch whose page is worth a picture. */
  async live(): Promise<string> {
    await this.#world.hook(warehouseUrl, { events: null });
    await this.#world.hook(flowUrl, { events: ["terminal"] });
    const beganMs = this.#world.nowMs;
    for (let atMs = beganMs; atMs < this.#untilMs - 20 * second; atMs += this.#between(6, 22) * second) this.#call(atMs);
    for (let atMs = beganMs; atMs < this.#untilMs; atMs += 2 * second) this.#at(atMs, () => this.#claim());
    let shown = "";
    const shownAtMs = this.#untilMs - shownStartsBeforeMs;
    this.#at(shownAtMs, async () => {
      const { view } = await this.#world.watch("OUT-7f3c1e0a-52d4-4b8e-9a61-3f0b7c2d9e14", {
        url: callUrl,
        metadata: { lead_id: "00Q5g00000A1bCd", campaign: "renewals-november", agent: "sofia" },
      });
      shown = view.watch.id;
      this.#statuses(view.watch.callSid, shownAtMs, [
        [2, "queued", ""],
        [11, "calling", ""],
        [148, "success", ""],
      ]);
    });
    while (this.#agenda.length > 0) {
      this.#agenda.sort((a, b) => a.atMs - b.atMs);
      const due = this.#agenda.shift();
      if (due === undefined || due.atMs > this.#untilMs) break;
      this.#world.nowMs = Math.max(this.#world.nowMs, due.atMs);
      await due.run();
    }
    this.#world.nowMs = this.#untilMs;
    return shown;
  }

  #between(least: number, most: number): number {
    return Math.round(least + this.#next() * (most - least));
  }

  #at(atMs: number, run: () => Promise<void>): void {
    this.#agenda.push({ atMs, run });
  }

  #call(atMs: number): void {
    const part = (length: number) => Array.from({ length }, () => Math.floor(this.#next() * 16).toString(16)).join("");
    const callSid = `OUT-${part(8)}-${part(4)}-4${part(3)}-a${part(3)}-${part(12)}`;
    const isOld = this.#next() < 0.03;
    const lead = `00Q5g00000${part(5).toUpperCase()}`;
    const campaign = this.#next() < 0.6 ? "renewals-november" : "appointments";
    this.#at(atMs, async () => {
      await this.#world.watch(callSid, { url: isOld ? oldUrl : callUrl, metadata: { lead_id: lead, campaign } });
    });
    const ringsAt = this.#between(4, 18);
    const end = this.#next();
    const [endsAt, status, reason]: readonly [number, string, string] =
      end < 0.71
        ? [ringsAt + this.#between(45, 260), "success", ""]
        : end < 0.9
          ? [ringsAt + 30, "failure", "no-answer"]
          : [ringsAt + this.#between(3, 9), "failure", "busy"];
    this.#statuses(callSid, atMs, [
      [1.5, "queued", ""],
      [ringsAt, "calling", ""],
      [endsAt, status, reason],
    ]);
  }

  #statuses(callSid: string, fromMs: number, statuses: readonly (readonly [afterS: number, status: string, reason: string])[]): void {
    for (const [afterS, status, reason] of statuses) {
      const atMs = Math.round(fromMs + afterS * second);
      this.#at(atMs, async () => {
        const { jobs } = await this.#world.commit(callSid, [statusChange(status, reason, atMs - this.#between(1200, 2600))]);
        for (const job of jobs) this.#send(job);
      });
    }
  }

  #send(job: SendJob): void {
    const { url } = job.target;
    const isAway = url === warehouseUrl && this.#isAway();
    const tookMs = url === flowUrl ? this.#between(300, 1900) : this.#between(40, 240);
    this.#at(this.#world.nowMs + tookMs, async () => {
      const outcome = url === oldUrl ? answered(500) : isAway ? answered(500) : ok;
      await this.#world.attempt(job, outcome);
    });
  }

  /** The warehouse is restarted now and then. */
  #isAway(): boolean {
    const untilEndMs = this.#untilMs - this.#world.nowMs;
    return (untilEndMs > 31 * minute && untilEndMs < 33 * minute) || (untilEndMs > 90 * second && untilEndMs < 105 * second);
  }

  async #claim(): Promise<void> {
    const { jobs } = await this.#world.claim();
    for (const job of jobs) this.#send(job);
  }
}
