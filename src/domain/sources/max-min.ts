/**
 * Returns the most that each demand gets where a capacity is divided max-min fairly: demands up to the level are met whole,
 * and every larger one gets the level. `Infinity` if all demands fit. Demands and capacity have one unit and are not
 * negative. (Bertsekas and Gallager, Data Networks, section 6.5.2: progressive filling.)
 */
export function maxMinLevel(demands: readonly number[], capacity: number): number {
  const ascending = Float64Array.from(demands).toSorted();
  let left = capacity;
  for (const [index, demand] of ascending.entries()) {
    const equalPart = left / (ascending.length - index);
    if (demand > equalPart) return equalPart;
    left -= demand;
  }
  return Infinity;
}
