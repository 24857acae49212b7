import type { PollPolicy } from "../../src/domain/calls/poll-decision.ts";
import type { DeliveryPolicy } from "../../src/domain/deliveries/retry-policy.ts";

export const pollPolicy: PollPolicy = {
  notFoundGraceMs: 30_000,
  lostAfterMs: 300_000,
  statusRetentionMs: 7_200_000,
  backoffMinMs: 2000,
  backoffMaxMs: 60_000,
  corroborationMs: 600_000,
  uncorroboratedEndMs: 600_000,
};

export const deliveryPolicy: DeliveryPolicy = {
  scheduleMs: [0, 5000, 300_000],
  jitterRatio: 0.2,
  orderHoldMs: 60_000,
  disableAfterMs: 432_000_000,
  disableMinAttempts: 10,
  pauseMinMs: 5000,
  pauseMaxMs: 300_000,
};
