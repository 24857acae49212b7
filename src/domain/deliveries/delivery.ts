/** One event owed to one endpoint. `pending` covers due, waiting and leased. */
export const deliveryStatuses = ["pending", "delivered", "exhausted", "failed", "canceled", "superseded", "expired"] as const;
export type DeliveryStatus = (typeof deliveryStatuses)[number];

/** What the decisions know of a delivery. */
export type DeliveryState = {
  readonly id: string;
  readonly status: DeliveryStatus;
  /** Attempts made, deferred ones included; the next is numbered one more. */
  readonly attemptCount: number;
  /** Steps of the schedule spent: attempts less deferrals and manual retries. */
  readonly stepsSpent: number;
  /** Of a settled one: a retry by hand was accepted then, and its attempt is not recorded yet. */
  readonly nextAttemptAtMs: number | null;
  readonly firstAttemptAtMs: number | null;
  /** The first failed attempt (no deferral); from here the order hold counts. */
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
