import { randomFillSync } from "node:crypto";

// Random bytes are requested in portions, because a request for twelve bytes costs as much as one for thousands.
const portion = Buffer.alloc(8192);
let usedBytes = portion.length;

/** Returns `count` random bytes (at most 8,192) for keys and nonces, and erases them from the portion. */
export function drawBytes(count: number): Buffer {
  const at = take(count);
  const drawn = Buffer.from(portion.subarray(at, at + count));
  portion.fill(0, at, at + count);
  return drawn;
}

/** Returns a random number from 0 to below 1, in steps of 1/256. */
export function drawFraction(): number {
  return portion.readUInt8(take(1)) / 256;
}

/** Reserves `count` unused bytes of the portion and returns their offset. */
function take(count: number): number {
  if (count > portion.length) throw new RangeError(`at most ${portion.length} bytes at a time`);
  if (usedBytes + count > portion.length) {
    randomFillSync(portion);
    usedBytes = 0;
  }
  const at = usedBytes;
  usedBytes += count;
  return at;
}
