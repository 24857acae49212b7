import type { Clock } from "../ports/clock.ts";

/** The machine's clocks. Timers do not keep the process alive; work that must finish is awaited. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(delayMs, fire) {
    const timer = setTimeout(fire, Math.max(0, delayMs));
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  nextTurn: (run) => void setImmediate(run),
};
