import { FairCapacity } from "../../../domain/fair-capacity.ts";
import { FairQueue } from "../../../domain/fair-queue.ts";
import { operationFlows, sharedFlows } from "../../sql/operation-flows.ts";
import type { OperationFlow } from "../../sql/operation-flows.ts";
import { operationNumbers } from "../operations.ts";
import type { OperationPort } from "../operations.ts";
import type { Answer, Request } from "./group.ts";

type Entry = { readonly request: Request };
type Place<Waiting> = { readonly waiting: Waiting; readonly rule: OperationFlow; readonly flow: string };

/** Maximum cost of a group. A single operation that costs more is a group by itself. */
const groupLimit = 1000;
/** Cost up to which an operation, or a group, is small: it takes a few milliseconds. A large operation begins a group, so that no group has two. */
export const smallCost = 200;

/** Rules by the number of the operation. */
const rules: readonly OperationFlow[] = (Object.keys(operationNumbers) as (keyof OperationPort)[]).map(
  // The arguments of a request have the types of its operation.
  (name) => operationFlows[name] as unknown as OperationFlow,
);
/** The writer thread rejects an operation that it does not know. */
const unknownOperation: OperationFlow = { flowOf: () => sharedFlows.requests, costOf: () => 1, isRefusable: true };

/** Operations that wait for a group. Accounts take turns, weighted by cost, and an account's operations keep their order. */
export class WaitingOperations<Waiting extends Entry> {
  readonly #capacity: FairCapacity;
  readonly #turns = new FairQueue<Place<Waiting>>();
  /** Operations that come before all of `#turns`, in one flow. */
  readonly #ahead = new FairQueue<Place<Waiting>>();
  #cost = 0;

  /** `limit` bounds the cost of all waiting requests; see `FairCapacity`. */
  constructor(limit: number) {
    this.#capacity = new FairCapacity(limit);
  }

  get size(): number {
    return this.#ahead.size + this.#turns.size;
  }

  /** Cost of all waiting operations. */
  get cost(): number {
    return this.#cost;
  }

  /** Returns false if the account uses more than its part; then nothing was added. */
  add(waiting: Waiting): boolean {
    const { operation, args } = waiting.request;
    const rule = rules[operation] ?? unknownOperation;
    const flow = rule.flowOf(...args);
    const cost = rule.costOf(...args);
    if (rule.isRefusable && !this.#capacity.tryAcquire(flow, cost)) return false;
    this.#cost += cost;
    const place = { waiting, rule, flow };
    if (rule.isAfterAll === true) this.#addAfterAll(place, cost);
    else this.#turns.add(flow, place, cost);
    return true;
  }

  /** Takes the operations whose turn it is, as many as fit into one group. */
  takeGroup(): readonly Waiting[] {
    const group: Waiting[] = [];
    let cost = 0;
    for (;;) {
      const queue = this.#ahead.size > 0 ? this.#ahead : this.#turns;
      const next = queue.peek();
      cost += next?.cost ?? 0;
      if (next === null || (group.length > 0 && (cost > groupLimit || next.cost > smallCost))) return group;
      queue.take();
      this.#cost -= next.cost;
      const { waiting, rule, flow } = next.item;
      if (rule.isRefusable) this.#capacity.release(flow, next.cost);
      group.push(waiting);
    }
  }

  /** Charges the rows that an operation wrote and its arguments did not show, before the next group is taken. */
  charge({ request }: Waiting, answer: Answer | undefined): void {
    if (this.#turns.size === 0 || answer?.ok !== true) return;
    rules[request.operation]?.chargeWritten?.(answer.value, (flow, cost) => this.#turns.charge(flow, cost));
  }

  drain(): readonly Waiting[] {
    this.#cost = 0;
    return [...this.#ahead.drain(), ...this.#turns.drain()].map(({ waiting }) => waiting);
  }

  #addAfterAll(place: Place<Waiting>, cost: number): void {
    for (let next = this.#turns.peek(); next !== null; next = this.#turns.peek()) {
      this.#turns.take();
      this.#ahead.add("", next.item, next.cost);
    }
    this.#ahead.add("", place, cost);
  }
}
