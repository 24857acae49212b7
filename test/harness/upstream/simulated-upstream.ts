import { onTestFinished } from "vitest";
import { startSimulator } from "../../../src/simulator/simulator.ts";
import type { Simulator, SimulatorOptions } from "../../../src/simulator/simulator.ts";

/** A simulated upstream on a free port that ends with the test. */
export async function simulatedUpstream(options: SimulatorOptions = {}): Promise<Simulator> {
  const simulator = await startSimulator(options);
  onTestFinished(() => simulator.close());
  return simulator;
}
