import { eventFields, eventSample, filled, metadataField, metadataOf, sourceField } from "../fields.js";
import { addressOf } from "../requests.js";

/**
 * Places the call, then watches it with Zapier's callback URL. The two are separate, because every run has a callback URL of
 * its own: a step that Zapier repeats asks for the same call under the same key, receives the same answer, and waits for the
 * end of the call that was placed.
 */
async function place(z, bundle) {
  const { call, idempotency_key, source, metadata } = bundle.inputData;
  const common = filled({ source, metadata: metadataOf(metadata) });
  if (bundle.meta?.isLoadingSample) return sampleResult(z, bundle);
  const { data: placed } = await z.request({
    url: addressOf(bundle, "/v1/calls"),
    method: "POST",
    headers: { "idempotency-key": idempotency_key },
    json: { ...common, call: callOf(call), callback_url: null },
  });
  const { data: watch } = await z.request({
    url: addressOf(bundle, "/v1/watches"),
    method: "POST",
    json: {
      ...common,
      call_sid: placed.call_sid,
      callback_url: z.generateCallbackUrl(),
      format: "flat",
      events: ["terminal"],
    },
  });
  return { watch_id: watch.id, call_sid: watch.call_sid, source: watch.source };
}

/** A test in the editor cannot wait and must not ring anybody: it returns a recent outcome, or a made-up one. */
async function sampleResult(z, bundle) {
  const params = { event: "terminal", limit: 1 };
  const [event = {}] = (await z.request({ url: addressOf(bundle, "/v1/hooks/sample"), params })).data;
  return { ...eventSample, ...event };
}

/** Returns the request of the upstream. A value that is a JSON object or list is sent as such, every other one as a text. */
function callOf(given) {
  return Object.fromEntries(Object.entries(filled(given ?? {})).map(([name, value]) => [name, jsonOrText(value)]));
}

function jsonOrText(value) {
  if (typeof value !== "string" || !/^\s*[[{]/.test(value)) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

/** Runs when the call has ended: the event, in the `flat` format. */
const resume = async (_z, bundle) => ({ ...bundle.outputData, ...bundle.cleanedRequest });

export const placeCallAndWait = {
  key: "place_call_and_wait",
  noun: "Call",
  display: {
    label: "Place a Call and Wait for Its End",
    description: "Places an outbound call and goes on with the Zap once it has ended. A test in the editor places no call.",
  },
  operation: {
    perform: place,
    performResume: resume,
    inputFields: [
      {
        key: "call",
        label: "Call",
        type: "string",
        dict: true,
        required: true,
        helpText:
          "The upstream's own request: `to_number` for PolyAI's older API, `toNumber` for its Agents API, for other sources the keys that their trigger allows. A value may be JSON. For a trial without a phone call: `scenario` and `success`, with the source `sandbox`.",
      },
      {
        key: "idempotency_key",
        label: "Unique Key",
        type: "string",
        required: true,
        helpText:
          "Something that is different for each call, for example the id of the record that the call is about. Ringback places no second call with the same key, also if Zapier repeats the step.",
      },
      sourceField,
      metadataField,
    ],
    outputFields: eventFields,
    sample: eventSample,
  },
};
