/** Statuses of a delivery: one event for one endpoint. A `pending` one is due, waiting or leased. */
export const deliveryStatuses = ["pending", "delivered", "exhausted", "failed", "canceled", "superseded", "expired"] as const;
export type DeliveryStatus = (typeof deliveryStatuses)[number];

/** The part of a delivery that attempts change. */
export type DeliveryState = {
  readonly id: string;
  readonly status: DeliveryStatus;
  /** Number of attempts made, deferred ones included. */
  readonly attemptCount: number;
  /** Number of steps of the schedule that are spent: attempts without deferrals and manual retries. */
  readonly stepsSpent: number;
  /**
   * Time of the next attempt; `null` if none follows. On a settled delivery: the time when a manual retry was accepted,
   * until its attempt is recorded.
   */
  readonly nextAttemptAtMs: number | null;
  /**
   * Regular time of the next attempt, while `nextAttemptAtMs` is the end of a pause that deferred an attempt brought
   * forward; `null` otherwise.
   */
  readonly scheduledAtMs: number | null;
  /**
   * The endpoint's `recoveries` when the last step was spent: the next recovery brings the delivery forward. `null` if no step
   * is spent, or if an attempt was brought forward since.
   */
  readonly lastRecovery: number | null;
  readonly firstAttemptAtMs: number | null;
  /** Time of the first failed attempt, deferrals excluded. The order hold starts here. */
  readonly firstFailedAtMs: number | null;
  readonly settledAtMs: number | null;
};

/** A delivery as the API shows it. */
export type Delivery = DeliveryState & {
  readonly accountId: string;
  readonly eventId: string;
  readonly eventType: string;
  readonly watchId: string | null;
  readonly callSid: string | null;
  readonly endpointId: string;
  readonly createdAtMs: number;
};
