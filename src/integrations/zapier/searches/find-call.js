import { callSidField, sourceField } from "../fields.js";
import { addressOf } from "../requests.js";

/** Returns the last known status of the call as a list of one, or an empty list if the account has never watched it. */
async function find(z, bundle) {
  const { call_sid, source } = bundle.inputData;
  const response = await z.request({
    url: addressOf(bundle, `/v1/calls/${encodeURIComponent(call_sid.trim())}`),
    params: source ? { source } : {},
    middlewareData: { answerStatus: 404 },
  });
  if (response.status === 404) return [];
  return [{ id: response.data.call_sid, ...response.data }];
}

export const findCall = {
  key: "find_call",
  noun: "Call",
  display: { label: "Find a Call", description: "Finds the last known status of a call that was watched." },
  operation: {
    perform: find,
    inputFields: [callSidField, sourceField],
    outputFields: [
      { key: "id", label: "ID" },
      { key: "call_sid", label: "Call SID" },
      { key: "source", label: "Source" },
      { key: "status", label: "Status" },
      { key: "reason", label: "Reason" },
      { key: "terminal", label: "Has Ended", type: "boolean" },
      { key: "observed_at", label: "Observed At", type: "datetime" },
    ],
    sample: {
      id: "OUT-550e8400-e29b-41d4-a716-446655440000",
      call_sid: "OUT-550e8400-e29b-41d4-a716-446655440000",
      source: "default",
      status: "success",
      reason: "",
      terminal: true,
      observed_at: "2026-11-23T12:00:03.120Z",
      details: {},
    },
  },
};
