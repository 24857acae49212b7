import type { Delivery } from "../../src/cli/receiver/receiver.ts";
import { bodyOf } from "../harness/receivers/collecting-receiver.ts";
import type { ObservedPoll } from "../harness/upstream/observed-upstream.ts";
import type { FaultSpan } from "./instance-cluster.ts";

export type ClusterRecord = {
  readonly callSids: readonly string[];
  readonly deliveries: readonly Delivery[];
  readonly polls: readonly ObservedPoll[];
  readonly faults: readonly FaultSpan[];
  readonly pollsPerSecond: number;
};

/** A webhook that left just before its instance was gone may come again. */
const beforeFaultMs = 2000;
const rateWindowMs = 5000;

/** What was promised and not kept, one line each, with the instant. Nothing: everything was. */
export function auditCluster(record: ClusterRecord): readonly string[] {
  return [...auditEvents(record), ...auditRepetitions(record), ...auditObservations(record), ...auditPolls(record), ...auditRate(record)];
}

/** Checks that the end of every call arrived, that sequences are complete and in order, and that every webhook verified. */
function auditEvents({ callSids, deliveries }: ClusterRecord): readonly string[] {
  const bySid = Map.groupBy(deliveries, (delivery) => bodyOf(delivery).data.call_sid);
  const unverified = deliveries.filter(({ verification }) => verification.kind !== "verified").length;
  return [
    ...(unverified > 0 ? [`${unverified} webhooks do not verify`] : []),
    ...callSids.flatMap((callSid) => {
      const first = firstArrivals(bySid.get(callSid) ?? []);
      const sequences = first.map((delivery) => bodyOf(delivery).data.sequence);
      const last = first.at(-1);
      if (last === undefined || bodyOf(last).type !== "call.success")
        return [`${callSid}: its end did not arrive (${sequences.join(",")})`];
      return sequences.every((sequence, index) => sequence === index + 1) ? [] : [`${callSid}: received ${sequences.join(",")}`];
    }),
  ];
}

/** Checks that a webhook came twice only with the same id, and only if it left during a fault. */
function auditRepetitions({ deliveries, faults }: ClusterRecord): readonly string[] {
  const byEvent = Map.groupBy(deliveries, (delivery) => `${bodyOf(delivery).data.call_sid} ${bodyOf(delivery).data.sequence}`);
  return [...byEvent].flatMap(([event, times]) => {
    const [first] = times;
    if (first === undefined || times.length === 1) return [];
    if (new Set(times.map(({ webhookId }) => webhookId)).size > 1) return [`${event}: came with different ids`];
    const excused = faults.some(({ fromMs, toMs }) => first.receivedAtMs >= fromMs - beforeFaultMs && first.receivedAtMs <= toMs);
    return excused ? [] : [`${event}: came ${times.length} times, first at ${timeOf(first.receivedAtMs)}, without a fault`];
  });
}

/** Checks that every status which an undisturbed instance polled arrived. */
function auditObservations({ deliveries, polls, faults }: ClusterRecord): readonly string[] {
  const arrived = new Set(deliveries.map((delivery) => `${bodyOf(delivery).data.call_sid} ${bodyOf(delivery).data.status}`));
  const missing = new Map<string, string>();
  for (const { callSid, status, instance, endedAtMs } of polls) {
    if (status === null || endedAtMs === null || arrived.has(`${callSid} ${status}`)) continue;
    const excused = faults.some(
      ({ instances, fromMs, toMs }) => instances.includes(instance) && endedAtMs >= fromMs - 500 && endedAtMs <= toMs + 500,
    );
    if (!excused)
      missing.set(`${callSid} ${status}`, `${callSid}: ${instance} saw "${status}" at ${timeOf(endedAtMs)}, and it did not arrive`);
  }
  return [...missing.values()];
}

/** No call is on the wire of two instances at once, and none goes to and fro. */
function auditPolls({ polls, faults }: ClusterRecord): readonly string[] {
  const handovers = 2 + 2 * faults.length;
  return [...Map.groupBy(polls, ({ callSid }) => callSid)].flatMap(([callSid, ofCall]) => {
    const problems: string[] = [];
    let changes = 0;
    for (const [index, poll] of ofCall.entries()) {
      const before = ofCall[index - 1];
      if (before === undefined || before.instance === poll.instance) continue;
      changes += 1;
      // An answer to a killed or frozen instance does not count.
      if (before.endedAtMs !== null && before.endedAtMs > poll.startedAtMs)
        problems.push(`${callSid}: polled by ${before.instance} and ${poll.instance} at ${timeOf(poll.startedAtMs)}`);
    }
    if (changes > handovers) problems.push(`${callSid}: changed hands ${changes} times`);
    return problems;
  });
}

/** The source's rate over all instances, in every span of some seconds. */
function auditRate({ polls, pollsPerSecond }: ClusterRecord): readonly string[] {
  const most = Math.ceil(pollsPerSecond * (rateWindowMs / 1000 + 1));
  const times = polls.map(({ startedAtMs }) => startedAtMs).toSorted((a, b) => a - b);
  for (let from = 0, to = 0; to < times.length; to++) {
    while ((times[to] ?? 0) - (times[from] ?? 0) >= rateWindowMs) from += 1;
    if (to - from + 1 > most) return [`${to - from + 1} polls in ${rateWindowMs} ms up to ${timeOf(times[to] ?? 0)}, at most ${most}`];
  }
  return [];
}

/** The first time each event came, in the order of arrival. */
function firstArrivals(deliveries: readonly Delivery[]): readonly Delivery[] {
  return [...new Map(deliveries.toReversed().map((delivery) => [delivery.webhookId, delivery])).values()].toSorted(
    (a, b) => deliveries.indexOf(a) - deliveries.indexOf(b),
  );
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}
