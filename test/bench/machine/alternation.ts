/** Runs every side once in each round, one after the other, so that a disturbance of the machine meets them all. */
export async function alternate<Side, Measured>(
  rounds: number,
  sides: ReadonlyMap<Side, (round: number) => Promise<Measured>>,
): Promise<ReadonlyMap<Side, readonly Measured[]>> {
  const measured = new Map<Side, Measured[]>([...sides.keys()].map((side) => [side, []]));
  for (let round = 0; round < rounds; round++) for (const [side, measure] of sides) measured.get(side)?.push(await measure(round));
  return measured;
}

/** Returns the middle value; NaN if there is none. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
