export const callSidField = {
  key: "call_sid",
  label: "Call SID",
  type: "string",
  required: true,
  helpText: "SID that the request which started the call returned. For a trial: `OUT-sandbox-success-1`, with the source `sandbox`.",
};

export const sourceField = {
  key: "source",
  label: "Source",
  type: "string",
  required: false,
  dynamic: "source_list.id.name",
  helpText: "Where the call runs. Left out: `default`, or the only source of your account.",
};

export const metadataField = {
  key: "metadata",
  label: "Metadata",
  type: "string",
  dict: true,
  required: false,
  helpText:
    "Up to 16 pairs that come back with every event of the call, for example `lead_id` and the id of a lead. Names have letters, digits and `_`.",
};

/** Returns the fields of an object that have a value. Zapier sends the others as empty texts. */
export function filled(fields) {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => !isBlank(value)));
}

const isBlank = (value) =>
  value === undefined ||
  value === null ||
  (typeof value === "string" && value.trim() === "") ||
  (typeof value === "object" && Object.keys(value).length === 0);

/** Returns metadata whose values are texts. */
export function metadataOf(given) {
  return Object.fromEntries(Object.entries(filled(given ?? {})).map(([name, value]) => [name, String(value)]));
}

/** Fields of an event in the `flat` format that every event of a call has. Metadata comes as `metadata_<name>`. */
export const eventFields = [
  { key: "id", label: "Event ID" },
  { key: "type", label: "Type" },
  { key: "timestamp", label: "Time", type: "datetime" },
  { key: "watch_id", label: "Watch ID" },
  { key: "call_sid", label: "Call SID" },
  { key: "source", label: "Source" },
  { key: "status", label: "Status" },
  { key: "previous_status", label: "Previous Status" },
  { key: "reason", label: "Reason" },
  { key: "terminal", label: "Has Ended", type: "boolean" },
  { key: "sequence", label: "Sequence", type: "integer" },
  { key: "observed_at", label: "Observed At", type: "datetime" },
  { key: "observed_after", label: "Observed After", type: "datetime" },
];

export const eventSample = {
  id: "evt_3q1s0a6hb4ep9f2m7c5k8t0v1w",
  type: "call.failure",
  timestamp: "2026-11-23T12:00:03.120Z",
  watch_id: "wch_1kw4kg04000",
  call_sid: "OUT-550e8400-e29b-41d4-a716-446655440000",
  source: "default",
  status: "failure",
  previous_status: "calling",
  reason: "call queueing: max timeout limit exceeded",
  terminal: true,
  sequence: 3,
  observed_at: "2026-11-23T12:00:03.120Z",
  observed_after: "2026-11-23T12:00:01.100Z",
  metadata_lead_id: "00Q5g000",
};
