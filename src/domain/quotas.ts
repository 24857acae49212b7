/** A limit of every account, set by the operator. */
export type AccountLimit = {
  /** Environment variable that sets the limit. 0 disables it. */
  readonly variable: string;
  readonly defaultLimit: number;
  /** Largest value that the operator may set. */
  readonly maxLimit: number;
  /** Key in the `limits` of `GET /v1/me`. */
  readonly key: string;
  /** Unit of the limit, as in "the account has reached its quota of 100 hooks". */
  readonly unit: string;
};

/** Limits on the resources of an account. Registrations beyond a limit are refused as `quota-exceeded`. */
const quotaRows = {
  maxActiveWatches: {
    variable: "ACCOUNT_MAX_ACTIVE_WATCHES",
    defaultLimit: 200_000,
    maxLimit: 100_000_000,
    key: "max_active_watches",
    unit: "active watches",
  },
  maxWatchesPerCall: {
    variable: "ACCOUNT_MAX_WATCHES_PER_CALL",
    defaultLimit: 100,
    maxLimit: 100_000_000,
    key: "max_watches_per_call",
    unit: "active watches on one call",
  },
  maxEndpoints: {
    variable: "ACCOUNT_MAX_ENDPOINTS",
    defaultLimit: 50_000,
    maxLimit: 100_000_000,
    key: "max_endpoints",
    unit: "endpoints",
  },
  maxHooks: { variable: "ACCOUNT_MAX_HOOKS", defaultLimit: 100, maxLimit: 1_000_000, key: "max_hooks", unit: "hooks" },
} as const satisfies Readonly<Record<string, AccountLimit>>;

/**
 * Every limit of an account, in the order in which they are shown: the rate of its requests, its quotas, and what may be under way or wait. The
 * configuration, `GET /v1/me`, the dashboard and the operator's guide derive from these rows.
 */
export const accountLimits = {
  apiMaxPerSecond: {
    variable: "API_MAX_PER_SECOND",
    defaultLimit: 1000,
    maxLimit: 1_000_000,
    key: "api_max_per_second",
    unit: "requests per second",
  },
  ...quotaRows,
  manualMaxInFlight: {
    variable: "ACCOUNT_MANUAL_MAX_IN_FLIGHT",
    defaultLimit: 4,
    maxLimit: 10_000,
    key: "manual_max_in_flight",
    unit: "attempts by `retry` and `test` under way",
  },
  maxWaitingRequests: {
    variable: "ACCOUNT_MAX_WAITING_REQUESTS",
    defaultLimit: 1000,
    maxLimit: 1_000_000,
    key: "max_waiting_requests",
    unit: "waiting requests",
  },
  maxStoredAnswersMib: {
    variable: "ACCOUNT_MAX_STORED_ANSWERS_MIB",
    defaultLimit: 512,
    maxLimit: 1_000_000,
    key: "max_stored_answers_mib",
    unit: "MiB of answers stored for idempotency keys",
  },
} as const satisfies Readonly<Record<string, AccountLimit>>;

export type AccountLimits = Readonly<Record<keyof typeof accountLimits, number>>;
export type QuotaName = keyof typeof quotaRows;
/** 0 disables a quota. */
export type Quotas = Readonly<Record<QuotaName, number>>;
export type QuotaExceeded = { readonly kind: "quota_exceeded"; readonly quota: QuotaName; readonly limit: number };

/** Every limit with its name. */
export const accountLimitEntries = Object.entries(accountLimits) as readonly [keyof AccountLimits, AccountLimit][];

/** Returns the quota if one more resource than `count` returns exceeds it, else `null`. Without a limit, `count` is not called. */
export function checkQuota(quotas: Quotas, quota: QuotaName, count: () => number): QuotaExceeded | null {
  const limit = quotas[quota];
  return limit > 0 && count() >= limit ? { kind: "quota_exceeded", quota, limit } : null;
}

/** Returns the sentence that the API answers. */
export function describeQuota({ quota, limit }: QuotaExceeded): string {
  return `the account has reached its quota of ${limit} ${accountLimits[quota].unit}`;
}

/** Returns one value for each limit, by a function of its row. */
export function mapAccountLimits<T>(
  valueOf: (limit: AccountLimit, name: keyof AccountLimits) => T,
): Readonly<Record<keyof AccountLimits, T>> {
  return Object.fromEntries(accountLimitEntries.map(([name, limit]) => [name, valueOf(limit, name)])) as Readonly<
    Record<keyof AccountLimits, T>
  >;
}
