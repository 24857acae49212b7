import { hash } from "node:crypto";
import { StoreOverloadedError } from "./errors.ts";

/** Prefixes of the ids that are numbers inside, and of events, whose ids are hashes. */
export type IdPrefix = "acc" | "key" | "src" | "wch" | "plc" | "hk" | "ep" | "dlv" | "evt" | "ptl" | "aud" | "sec" | "call" | "mrk";

/** Crockford's digits in lower case: their order is that of their characters, so texts sort as their numbers do. */
const digits = "0123456789abcdefghjkmnpqrstvwxyz";
/** Texts of two digits, by their number. */
const pairs = Array.from({ length: 1024 }, (_, n) => digits.charAt(n >> 5) + digits.charAt(n & 31));
const valueOfCode = new Int8Array(128).fill(-1);
for (const [value, digit] of [...digits].entries()) valueOfCode[digit.charCodeAt(0)] = value;

const textLength = 11;
const low = 2 ** 30;

/** Returns the public text of an id: the prefix, `_`, and the key (an integer from 0 to 2^53 - 1) as 11 digits that sort. */
export function encodeId(prefix: IdPrefix, key: number): string {
  const upper = Math.floor(key / low);
  const lower = key % low;
  return `${prefix}_${digits[upper >> 20]}${pairs[(upper >> 10) & 1023]}${pairs[upper & 1023]}${pairs[lower >> 20]}${pairs[(lower >> 10) & 1023]}${pairs[lower & 1023]}`;
}

/** Key that no row has: the key of a text that is no id. */
export const unknownKey = -1;

/** Returns the key in the text of an id of any prefix. A text that `encodeId` cannot have written has `unknownKey`. */
export function decodeId(id: string): number {
  const start = id.length - textLength;
  if (start < 1 || id.charCodeAt(start - 1) !== 95) return unknownKey;
  let upper = 0;
  let lower = 0;
  for (let index = start; index < id.length; index += 1) {
    const value = valueOfCode[id.charCodeAt(index)] ?? -1;
    if (value < 0) return unknownKey;
    if (index < start + 5) upper = upper * 32 + value;
    else lower = lower * 32 + value;
  }
  return upper < 2 ** 23 ? upper * low + lower : unknownKey;
}

/** Seconds since 2020, of which a key has 30 bits, so keys last until 2054. */
const epochMs = Date.UTC(2020, 0, 1);
const tickMs = 1000;
/** Number of slots. Generators that run at the same time have different slots, so their keys differ. */
export const idSlots = 64;
/** Number of keys of one slot in one tick. */
const keysPerTick = 2 ** 17;
const maxBorrowedTicks = 5;

/**
 * Generator of keys: `tick`, `slot` and a counter, most significant first. Keys of one generator ascend, also if the
 * wall clock steps back. Keys of several generators ascend to the second. A generator without a key left in a tick borrows
 * from the next ticks, at most 5 s ahead. 2^17 keys a second are more than all instances together create.
 */
export class KeySequence {
  readonly #slot: number;
  #lastTick: number;
  #counter = keysPerTick - 1;
  #lastNowMs = 0;
  /** Time by which the keys are ahead of the wall clock, because the clock stepped back. */
  #aheadMs: number | null = null;

  /** `newestKey` is the newest key that the store holds: the sequence begins after it. -1 if it holds none. */
  constructor(slot: number, newestKey: number) {
    this.#slot = slot;
    this.#lastTick = Math.floor(newestKey / (idSlots * keysPerTick));
  }

  /** Returns the next key. Throws `StoreOverloadedError` if it would be more than 5 s ahead of the clock. */
  next(nowMs: number): number {
    const tick = this.#tickAt(nowMs);
    if (tick > this.#lastTick) {
      this.#lastTick = tick;
      this.#counter = 0;
    } else if (this.#counter + 1 < keysPerTick) this.#counter += 1;
    else if (this.#lastTick - tick < maxBorrowedTicks) {
      this.#lastTick += 1;
      this.#counter = 0;
    } else throw new StoreOverloadedError();
    return (this.#lastTick * idSlots + this.#slot) * keysPerTick + this.#counter;
  }

  #tickAt(nowMs: number): number {
    const elapsedMs = Math.max(0, nowMs - epochMs);
    if (this.#aheadMs === null) this.#aheadMs = Math.max(0, (this.#lastTick + 1) * tickMs - elapsedMs);
    else if (elapsedMs < this.#lastNowMs) this.#aheadMs += this.#lastNowMs - elapsedMs;
    this.#lastNowMs = elapsedMs;
    return Math.floor((elapsedMs + this.#aheadMs) / tickMs);
  }
}

/** Slot that all command lines share. Each command reserves a block of keys in it, under a row lock of the store. */
const commandLineSlot = 0;
const keysOfCommand = 128;

/** Keys that one command reserved. No command creates more than a few rows. */
export class KeyBlock {
  readonly last: number;
  #next: number;

  constructor(first: number, count = keysOfCommand) {
    this.#next = first;
    this.last = first + count - 1;
  }

  /** Returns the block that begins at `first` as two halves, for the two threads of a command that create ids. */
  static halves(first: number): readonly [KeyBlock, KeyBlock] {
    const half = keysOfCommand / 2;
    return [new KeyBlock(first, half), new KeyBlock(first + half, half)];
  }

  /** Returns the next key. Throws if the block is used up, because that is a bug. */
  next(): number {
    if (this.#next > this.last) throw new Error(`a command creates at most ${keysOfCommand} ids`);
    return this.#next++;
  }
}

/**
 * Returns the first key of the next block of `commandLineSlot`. `newestKey` is the newest key that the store holds or has
 * reserved; -1 if there is none.
 */
export function nextBlockStart(newestKey: number, nowMs: number): number {
  const slotKeys = idSlots * keysPerTick;
  const ofNow = Math.floor(Math.max(0, nowMs - epochMs) / tickMs) * slotKeys;
  if (newestKey < ofNow) return ofNow;
  // A key of another slot, or too few keys left in the tick: the block begins the next tick.
  const offset = newestKey % slotKeys;
  const hasRoom = offset + keysOfCommand * 2 < keysPerTick;
  return hasRoom ? newestKey - (offset % keysOfCommand) + keysOfCommand : newestKey - offset + slotKeys;
}

/** Returns the least key of a time: no id made at or after `timeMs` has a smaller key. */
export function leastKeyAt(timeMs: number): number {
  return Math.floor(Math.max(0, timeMs - epochMs) / tickMs) * idSlots * keysPerTick;
}

/** Where the ids of this thread come from; `null` until a store is opened. */
let keys: KeySequence | KeyBlock | null = null;
/** For ids that no store has: before one is opened. */
const keysWithoutStore = new KeySequence(commandLineSlot + 1, -1);

/**
 * Sets where the ids of this thread come from, and returns where they came from before. The opening of a store calls it,
 * before anything creates an id. A block does not replace a sequence: if a thread has a slot, it needs no keys of the slot of
 * command lines. `null` forgets the slot: a command that a test runs in the process of a server has none.
 */
export function useKeys(source: KeySequence | KeyBlock | null): KeySequence | KeyBlock | null {
  const before = keys;
  if (!(source instanceof KeyBlock && keys instanceof KeySequence)) keys = source;
  return before;
}

/**
 * Returns where the ids of this thread come from, for comparison by identity. An id that no row has stays free only while
 * this is unchanged: another process may get the slot, and create the same id.
 */
export function keysInUse(): KeySequence | KeyBlock | null {
  return keys;
}

/** Returns a new id, sortable by time, within one thread in the order of the calls. It never holds a `.`, which separates the signed parts of a webhook. */
export function newId(prefix: IdPrefix, nowMs: number): string {
  return encodeId(prefix, (keys ?? keysWithoutStore).next(nowMs));
}

/**
 * Returns the id of an event, which is also the `webhook-id`. It depends on the facts alone, so that a restored copy, or a fenced instance, creates the same id for the same transition.
 */
export function eventId(watchId: string, sequence: number, type: string, status: string | null, reason: string): string {
  const facts = JSON.stringify([watchId, sequence, type, status, reason]);
  return `evt_${hash("sha256", facts, "base64url").slice(0, 32).replaceAll("-", "A").replaceAll("_", "B")}`;
}
