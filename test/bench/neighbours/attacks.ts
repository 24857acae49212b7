import { slowRequests, waitingRequests } from "./connection-attacks.ts";
import { manualRetries, endpointSwitches } from "./delivery-attacks.ts";
import { batches, crowdedCall, deadHostNames, keyedRequests, otherCalls, structuredBodies } from "./registration-attacks.ts";
import { failingCalls, throttledCalls } from "./source-attacks.ts";
import type { Attack } from "./attacker.ts";

/** Every attack by its name in the table. */
export const attacks: Readonly<Record<string, Attack>> = {
  "manual retries to hosts that hang": manualRetries,
  "batches of 1,000 watches, eight side by side": batches,
  "1,000 watches on one call, and its end": crowdedCall,
  "300 calls answered 502, 403 or 404 on the shared source": failingCalls,
  "500 calls answered 429 with `Retry-After: 1`": throttledCalls,
  "an endpoint with 20,000 pending deliveries disabled, enabled, recovered": endpointSwitches,
  "registrations with dead host names": deadHostNames,
  "keyed requests with large bodies, and replays with another body": keyedRequests,
  "bodies of 1 and 4 MiB that nest deep or have 60,000 keys": structuredBodies,
  "1,000 other calls on the shared source": otherCalls,
  "bodies in small chunks, `/readyz` and random keys": slowRequests,
  "500 waiting requests and many events": waitingRequests,
};

/** The attack after whose 429 the whole source waits, as the upstream asked. */
export const throttlingAttack = "500 calls answered 429 with `Retry-After: 1`";

/** Settings of the service that an attack needs, by its name. */
export const attackSettings: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  // The scheduled attempts have failed before the attack, and the next ones are far away.
  "manual retries to hosts that hang": { DELIVERY_TIMEOUT_MS: "2000", RETRY_SCHEDULE: "0s,5m" },
  // 20,000 first polls at the default rate would take minutes.
  "an endpoint with 20,000 pending deliveries disabled, enabled, recovered": { POLYAI_MAX_POLLS_PER_SECOND: "5000" },
  "1,000 watches on one call, and its end": { ACCOUNT_MAX_WATCHES_PER_CALL: "0" },
};
