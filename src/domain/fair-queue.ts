import { IndexedHeap } from "./indexed-heap.ts";

/** A waiting item and what it costs. The other fields belong to the queue. */
export class QueuedItem<Item> {
  readonly item: Item;
  readonly cost: number;
  /** `null` once the item has left the queue. */
  flow: Flow<Item> | null;
  previous: QueuedItem<Item> | null;
  next: QueuedItem<Item> | null = null;

  constructor(item: Item, cost: number, flow: Flow<Item>) {
    this.item = item;
    this.cost = cost;
    this.flow = flow;
    this.previous = flow.last;
  }
}

/** Items of one account, or of another party that takes turns; oldest first. */
class Flow<Item> {
  first: QueuedItem<Item> | null = null;
  last: QueuedItem<Item> | null = null;
  /** Start tag of the first item, in virtual time. Valid while the flow is in the heap. */
  start = 0;
  /** Finish tag of the last item that was taken. */
  finish = 0;
  /** Order of equal start tags. */
  order = 0;
  /** -1 if nothing waits or the flow is paused. */
  heapIndex = -1;
  isPaused = false;
}

/** Number of flows without a waiting item that are kept, so that a flow which comes and goes is not created each time. */
const idleFlows = 64;
/** Virtual time after which an empty queue starts again at 0, so that sums of costs stay exact. */
const restartAfter = 2 ** 40;

/**
 * Queue whose flows take turns, weighted by cost: start-time fair queueing (Goyal, Vin and Cheng, "Start-Time Fair
 * Queueing", SIGCOMM 1996). The start tag of an item is the virtual time, or the finish tag of the item before it in its
 * flow if that is later. Its finish tag is its start tag plus its cost. The item with the lowest start tag is next, and the
 * virtual time is the start tag of the item that was taken last. It follows:
 *
 * - Within a flow, the first item added is the first taken.
 * - While two flows wait, the costs taken from them differ by at most one item of each.
 * - At most one item of each other flow precedes the first item of a flow that was idle, however long the other flows are.
 *   No flow is starved.
 * - A flow gains no credit while it is idle.
 *
 * Adding or taking an item costs O(log n) of the waiting flows, O(1) with one flow. The queue forgets idle flows, except
 * some tens and those of which an expensive item was taken a moment ago.
 */
export class FairQueue<Item> {
  readonly #flows = new Map<string, Flow<Item>>();
  /** Flows that wait for their turn. */
  readonly #turns = new IndexedHeap<Flow<Item>>(isBefore);
  #virtualTime = 0;
  /** The latest finish tag. */
  #lastFinish = 0;
  #order = 0;
  #size = 0;
  /** Number of flows that are neither waiting nor paused. */
  #idleCount = 0;
  #idleLimit = idleFlows;

  /** Number of waiting items, including those of paused flows. */
  get size(): number {
    return this.#size;
  }

  /** Number of flows in memory. */
  get flowCount(): number {
    return this.#flows.size;
  }

  /** Adds an item as the last of its flow. `cost` is positive, in a unit that all items share. The result is for `remove`. */
  add(key: string, item: Item, cost: number): QueuedItem<Item> {
    const flow = this.#flowOf(key);
    const queued = new QueuedItem(item, cost, flow);
    if (flow.last === null) flow.first = queued;
    else flow.last.next = queued;
    flow.last = queued;
    this.#size += 1;
    if (!flow.isPaused && flow.heapIndex === -1) {
      this.#idleCount -= 1;
      this.#enterTurns(flow);
    }
    return queued;
  }

  /** Returns the item whose turn it is; `null` if none waits outside of paused flows. */
  peek(): QueuedItem<Item> | null {
    return this.#turns.first?.first ?? null;
  }

  /** Takes the item whose turn it is; `null` if none waits outside of paused flows. */
  take(): Item | null {
    const flow = this.#turns.first;
    if (flow === undefined) return null;
    this.#virtualTime = flow.start;
    return this.#takeFirst(flow);
  }

  /** Takes the oldest item of a flow, also if it is paused or not its turn, and charges the flow; `null` if none waits. */
  takeFrom(key: string): Item | null {
    const flow = this.#flows.get(key);
    if (flow === undefined) return null;
    if (flow.heapIndex === -1) flow.start = Math.max(this.#virtualTime, flow.finish);
    return this.#takeFirst(flow);
  }

  /** Removes an item as if it had not been added. Does nothing if it has left the queue. */
  remove(queued: QueuedItem<Item>): void {
    const { flow } = queued;
    if (flow === null) return;
    this.#unlink(flow, queued);
    if (flow.first === null) this.#endTurns(flow);
  }

  /** Adds to the cost of what was taken from a flow, if it is known only afterwards. The next items of the flow wait for it. */
  charge(key: string, cost: number): void {
    // Nothing competes, and the next item of every flow will start at the virtual time.
    if (this.#size === 0) return;
    const flow = this.#flowOf(key);
    if (flow.heapIndex === -1) {
      this.#finish(flow, Math.max(this.#virtualTime, flow.finish) + cost);
      this.#forgetIdle();
    } else {
      flow.start += cost;
      this.#turns.sink(flow);
    }
  }

  /** Excludes a flow from the turns until `resume`. Its items wait, and may be taken by `takeFrom`. */
  pause(key: string): void {
    const flow = this.#flowOf(key);
    if (flow.isPaused) return;
    flow.isPaused = true;
    if (flow.first === null) this.#idleCount -= 1;
    else this.#turns.remove(flow);
  }

  resume(key: string): void {
    const flow = this.#flows.get(key);
    if (flow === undefined || !flow.isPaused) return;
    flow.isPaused = false;
    if (flow.first !== null) this.#enterTurns(flow);
    else {
      this.#idleCount += 1;
      this.#forgetIdle();
    }
  }

  /** Removes and returns all items, flow by flow. */
  drain(): readonly Item[] {
    const items: Item[] = [];
    for (const flow of this.#flows.values())
      for (let queued = flow.first; queued !== null; queued = flow.first) {
        items.push(queued.item);
        this.remove(queued);
      }
    return items;
  }

  #takeFirst(flow: Flow<Item>): Item | null {
    const { first } = flow;
    if (first === null) return null;
    this.#finish(flow, flow.start + first.cost);
    this.#unlink(flow, first);
    if (flow.first === null) this.#endTurns(flow);
    else if (flow.heapIndex !== -1) {
      flow.start = flow.finish;
      flow.order = ++this.#order;
      this.#turns.sink(flow);
    }
    return first.item;
  }

  #unlink(flow: Flow<Item>, queued: QueuedItem<Item>): void {
    const { previous, next } = queued;
    if (previous === null) flow.first = next;
    else previous.next = next;
    if (next === null) flow.last = previous;
    else next.previous = previous;
    queued.flow = null;
    // An old item that is gone must not keep those behind it from being collected young.
    queued.previous = null;
    queued.next = null;
    this.#size -= 1;
  }

  #flowOf(key: string): Flow<Item> {
    let flow = this.#flows.get(key);
    if (flow === undefined) {
      flow = new Flow();
      this.#flows.set(key, flow);
      this.#idleCount += 1;
    }
    return flow;
  }

  #enterTurns(flow: Flow<Item>): void {
    flow.start = Math.max(this.#virtualTime, flow.finish);
    flow.order = ++this.#order;
    this.#turns.add(flow);
  }

  /** Ends the turns of a flow of which nothing waits any more. */
  #endTurns(flow: Flow<Item>): void {
    if (!flow.isPaused) {
      this.#turns.remove(flow);
      this.#idleCount += 1;
    }
    if (this.#size === 0) this.#endBusyPeriod();
    this.#forgetIdle();
  }

  /** Advances the virtual time past every finish tag: what was taken before the queue was empty does not count later. */
  #endBusyPeriod(): void {
    this.#virtualTime = this.#lastFinish;
    if (this.#virtualTime < restartAfter) return;
    for (const flow of this.#flows.values()) flow.finish = 0;
    this.#virtualTime = 0;
    this.#lastFinish = 0;
  }

  /** Deletes the idle flows whose finish tag does not matter any more. Their number must double before the next sweep, so that a sweep is paid for by the items since the last one. */
  #forgetIdle(): void {
    if (this.#idleCount <= this.#idleLimit) return;
    for (const [key, flow] of this.#flows)
      if (flow.first === null && !flow.isPaused && flow.finish <= this.#virtualTime) {
        this.#flows.delete(key);
        this.#idleCount -= 1;
      }
    this.#idleLimit = Math.max(idleFlows, 2 * this.#idleCount);
  }

  #finish(flow: Flow<Item>, finish: number): void {
    flow.finish = finish;
    if (finish > this.#lastFinish) this.#lastFinish = finish;
  }
}

function isBefore<Item>(a: Flow<Item>, b: Flow<Item>): boolean {
  return a.start < b.start || (a.start === b.start && a.order < b.order);
}
