import type { Attack } from "./attacker.ts";

/** Calls that the source answers with a status code, until the attack is over. */
function callsAnswered(codes: readonly number[], callsOfEach: number): Attack {
  return {
    async run(attacker) {
      const watches = codes.flatMap((code) =>
        Array.from({ length: callsOfEach }, (_, index) => ({
          call_sid: `OUT-${code}-${index}`,
          callback_url: attacker.callback("ok", 1, index % 100),
        })),
      );
      await attacker.watch(watches);
      await attacker.untilOver();
      await attacker.order("calm");
    },
  };
}

export const failingCalls = callsAnswered([502, 403, 404], 100);
export const throttledCalls = callsAnswered([429], 500);
