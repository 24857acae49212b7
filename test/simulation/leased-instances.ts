import { decodeId, InstanceFencedError, raisedRate } from "./engine-adapter.ts";
import type { GateState, SharedParts, Shares, Sweep } from "./engine-adapter.ts";
import type { LeaseTables, Seat } from "./lease-tables.ts";

type Instances = SharedParts["instances"];

/** The port of one instance onto the tables; `ask` is the way to them. */
export function createInstances(tables: LeaseTables, seat: Seat, ask: <T>(work: () => T | Promise<T>) => Promise<T>): Instances {
  const view = (token: number) => ({
    kind: "alive" as const,
    token,
    instances: [...tables.members]
      .filter(([other, { leaseUntilMs }]) => other === token || leaseUntilMs > tables.nowMs)
      .map(([other, { shares }]) => ({ token: other, shares, keyIds: [] })),
  });
  return {
    join: ({ leaseMs, shares }) =>
      ask(() => {
        const token = ++tables.lastToken;
        seat.token = token;
        if ([...tables.members.values()].every(({ leaseUntilMs }) => leaseUntilMs <= tables.nowMs)) tables.gates.clear();
        tables.members.set(token, {
          lifetime: seat.lifetime,
          leaseUntilMs: tables.nowMs + leaseMs,
          shares,
          gateVersion: 0,
          dirty: new Set(),
          onSignal: (what) => seat.onSignal(what),
        });
        tables.signal(seat, "instances");
        return view(token);
      }),
    heartbeat: ({ leaseMs, shares }) =>
      ask(() => {
        const member = seat.token === null ? undefined : tables.members.get(seat.token);
        if (member === undefined || seat.token === null) {
          seat.token = null;
          return { kind: "fenced" as const };
        }
        member.leaseUntilMs = tables.nowMs + leaseMs;
        member.shares = shares;
        return view(seat.token);
      }),
    raiseRates: (wanted) => ask(() => raiseRates(tables, seat, wanted)),
    sweep: () => ask(() => sweep(tables, seat)),
    listNotices: ({ position, limit }) =>
      ask(() => {
        const from = Number(position);
        const notices = tables.notices.slice(from, from + limit);
        return { notices, position: String(from + notices.length), more: notices.length === limit };
      }),
    listEnded: (watchIds) =>
      ask(() =>
        tables.select(
          "wch",
          "select value as id from json_each(?) where value not in (select id from watches where status = 'active')",
          watchIds.map(decodeId),
        ),
      ),
    loadOwnedCalls: (callIds) =>
      ask(async () => {
        const member = seat.token === null ? undefined : tables.members.get(seat.token);
        for (const callId of callIds) member?.dirty.delete(callId);
        const calls = (await tables.watchedCalls()).filter(({ callId }) => callIds.includes(callId));
        for (const callId of callIds)
          if (tables.owners.get(callId) === seat.token && !calls.some((call) => call.callId === callId)) tables.owners.delete(callId);
        return calls.filter(({ callId }) => tables.owners.get(callId) === seat.token);
      }),
    countUnownedCalls: () =>
      ask(async () => {
        const counts: Record<string, { released: number; left: number }> = {};
        for (const { sourceName, callId } of await tables.unowned())
          (counts[sourceName] ??= { released: 0, left: 0 })[tables.isLeft(callId) ? "left" : "released"] += 1;
        return counts;
      }),
    countOwnedCalls: (sourceName, tokens) =>
      ask(async () => {
        const counts = new Map<number, number>();
        for (const call of await tables.watchedCalls()) {
          const owner = tables.owners.get(call.callId);
          if (call.sourceName === sourceName && owner !== undefined && tokens.includes(owner))
            counts.set(owner, (counts.get(owner) ?? 0) + 1);
        }
        return counts;
      }),
    listOwnedCallIds: ({ afterCallId, limit }) =>
      ask(async () => {
        const ids = (await tables.watchedCalls()).map(({ callId }) => callId).filter((callId) => tables.owners.get(callId) === seat.token);
        return ids
          .toSorted((a, b) => decodeId(a) - decodeId(b))
          .filter((callId) => afterCallId === null || decodeId(callId) > decodeId(afterCallId))
          .slice(0, limit);
      }),
    claimCalls: ({ sourceName, limit, isLeft, deadlineBeforeMs }) =>
      ask(async () => {
        const { token } = seat;
        if (token === null || !tables.members.has(token)) throw new InstanceFencedError();
        const free = (await tables.unowned()).filter(
          (call) =>
            call.sourceName === sourceName &&
            (!isLeft || tables.isLeft(call.callId)) &&
            (deadlineBeforeMs === null || call.earliestDeadlineAtMs < deadlineBeforeMs),
        );
        const claimed = free.filter(({ callId }) => tables.isUnowned(callId)).slice(0, limit);
        for (const { callId } of claimed) tables.owners.set(callId, token);
        return claimed;
      }),
    listLeases: () =>
      ask(() => {
        const standing = new Set(tables.leaseTokens("select lease_token as id from deliveries where lease_token is not null"));
        return [...tables.leases].flatMap(([leaseToken, { token, deliveryId }]) =>
          token === seat.token && standing.has(leaseToken) ? [{ deliveryId, leaseToken }] : [],
        );
      }),
    evict: (tokens) =>
      ask(async () => {
        const gone = tokens.filter((token) => (tables.members.get(token)?.leaseUntilMs ?? Infinity) <= tables.nowMs);
        for (const token of gone) await tables.remove(token);
        for (const what of ["calls", "deliveries", "instances"] as const) if (gone.length > 0) tables.signal(seat, what);
        return gone.length;
      }),
    leave: () =>
      ask(async () => {
        if (seat.token !== null) await tables.remove(seat.token);
        for (const what of ["calls", "deliveries", "instances"] as const) tables.signal(seat, what);
        seat.token = null;
      }),
    changeSuspension: ({ sourceName, suspension, expectedVersion }) =>
      ask(() => {
        const gate = tables.gates.get(sourceName);
        if ((gate?.suspensionVersion ?? 0) !== expectedVersion && gate !== undefined) return { kind: "superseded" as const, gate };
        const changed = { ...(gate ?? freshGate(sourceName)), suspension, suspensionVersion: ++tables.gateVersion };
        tables.gates.set(sourceName, changed);
        tables.signal(seat, "sources");
        return { kind: "changed" as const, gate: changed };
      }),
    throttle: ({ sourceName, throttledUntilMs, rateFactor }) =>
      ask(() => {
        const gate = tables.gates.get(sourceName) ?? freshGate(sourceName);
        const changed = {
          ...gate,
          throttledUntilMs: Math.max(gate.throttledUntilMs ?? 0, throttledUntilMs),
          rateFactor,
          throttleVersion: ++tables.gateVersion,
        };
        tables.gates.set(sourceName, changed);
        tables.signal(seat, "sources");
        return changed;
      }),
  };
}

function raiseRates(
  tables: LeaseTables,
  seat: Seat,
  wanted: Parameters<SharedParts["instances"]["raiseRates"]>[0],
): Readonly<Record<string, number>> {
  const member = seat.token === null ? undefined : tables.members.get(seat.token);
  if (member === undefined) throw new InstanceFencedError();
  const others = [...tables.members.values()].filter((other) => other !== member && other.leaseUntilMs > tables.nowMs);
  const granted = Object.entries(wanted).map(([name, { wantedPerSecond, limitPerSecond }]) => {
    const othersPerSecond = others.reduce((sum, { shares }) => sum + (shares[name]?.ratePerSecond ?? 0), 0);
    const publishedPerSecond = member.shares[name]?.ratePerSecond ?? 0;
    return [name, raisedRate({ limitPerSecond, wantedPerSecond, publishedPerSecond, othersPerSecond })] as const;
  });
  const raised = granted.map(([name, ratePerSecond]) => [name, { ...member.shares[name], ratePerSecond }]);
  member.shares = { ...member.shares, ...(Object.fromEntries(raised) as Shares) };
  return Object.fromEntries(granted);
}

function sweep(tables: LeaseTables, seat: Seat): Sweep {
  const member = seat.token === null ? undefined : tables.members.get(seat.token);
  const own = [...tables.leases].filter(([, { token }]) => token === seat.token).map(([leaseToken]) => leaseToken);
  const gates = [...tables.gates.values()].filter(
    (gate) => Math.max(gate.suspensionVersion, gate.throttleVersion) > (member?.gateVersion ?? 0),
  );
  if (member !== undefined) member.gateVersion = tables.gateVersion;
  return {
    feedPosition: String(tables.notices.length),
    // It is looked for at every sweep: what a claim costs is nothing here.
    isDeliveryDue: true,
    dirtyCallIds: [...(member?.dirty ?? [])],
    settledDeliveryIds: tables.select(
      "dlv",
      "select id from deliveries where lease_token in (select value from json_each(?)) and status <> 'pending'",
      own,
    ),
    closedEndpointIds: tables.select(
      "ep",
      `select distinct d.endpoint_id as id from deliveries d join endpoints p on p.id = d.endpoint_id
       where d.lease_token in (select value from json_each(?)) and p.state <> 'enabled'`,
      own,
    ),
    gates,
    expiredTokens: [...tables.members]
      .filter(([token, { leaseUntilMs }]) => token !== seat.token && leaseUntilMs < tables.nowMs)
      .map(([token]) => token),
    hasUnownedCalls: tables.hasUnowned(),
    disabledAccountIds: [],
    sourceRevisions: 0,
  };
}

function freshGate(sourceName: string): GateState {
  return { sourceName, suspension: null, suspensionVersion: 0, throttledUntilMs: null, rateFactor: 1, throttleVersion: 0 };
}
