import { callSidField, filled, metadataField, metadataOf, sourceField } from "../fields.js";
import { addressOf } from "../requests.js";

async function watch(z, bundle) {
  const { call_sid, source, metadata } = bundle.inputData;
  const { data } = await z.request({
    url: addressOf(bundle, "/v1/watches"),
    method: "POST",
    // Without a callback URL: the Zaps with the trigger receive the events of the call.
    json: { callback_url: null, ...filled({ call_sid, source, metadata: metadataOf(metadata) }) },
  });
  return data;
}

export const watchCall = {
  key: "watch_call",
  noun: "Call",
  display: {
    label: "Watch a Call",
    description: "Watches an outbound call, so that Zaps with the trigger Call Status Changed receive its changes.",
  },
  operation: {
    perform: watch,
    inputFields: [callSidField, sourceField, metadataField],
    outputFields: [
      { key: "id", label: "Watch ID" },
      { key: "call_sid", label: "Call SID" },
      { key: "source", label: "Source" },
      { key: "status", label: "Status of the Watch" },
      { key: "call__status", label: "Status of the Call" },
      { key: "call__reason", label: "Reason" },
      { key: "call__terminal", label: "Has Ended", type: "boolean" },
      { key: "explain", label: "Explanation" },
    ],
    sample: {
      id: "wch_1kw4kg04000",
      call_sid: "OUT-550e8400-e29b-41d4-a716-446655440000",
      source: "default",
      status: "active",
      call: { status: null, reason: "", terminal: false },
      metadata: { lead_id: "00Q5g000" },
      explain: "waiting for the first poll of the call",
    },
  },
};
