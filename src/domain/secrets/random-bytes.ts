import { randomFillSync } from "node:crypto";

// The operating system is asked for a portion at a time: a call for twelve bytes costs as much as one for thousands.
const portion = Buffer.alloc(8192);
let usedBytes = portion.length;

/** So many random bytes (8,192 at most), fit for keys and nonces; they are wiped from the portion they were drawn from. */
export function drawBytes(count: number): Buffer {
  const at = take(count);
  const drawn = Buffer.from(portion.subarray(at, at + count));
  portion.fill(0, at, at + count);
  return drawn;
}

/** A random number from 0 to below 1, in steps of 1/256. */
export function drawFraction(): number {
  return portion.readUInt8(take(1)) / 256;
}

/** Where in the portion the next so many unused bytes begin. */
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
