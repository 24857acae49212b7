import { eventFields, eventSample, filled } from "../fields.js";
import { addressOf } from "../requests.js";

const eventChoices = {
  terminal: "The call ended, or there will be no outcome",
  "call.*": "Any change of the call",
  "watch.*": "There will be no outcome",
  "call.queued": "The call is queued",
  "call.calling": "The call rings or is connected",
  "call.success": "The call succeeded",
  "call.failure": "The call failed",
  "call.other": "The call has another status",
  "call.unknown": "It is unknown whether a call was placed",
  "call.overdue": "A call has not ended in time",
};

/** Returns the conditions of the hook, or undefined where nothing was chosen. */
function conditionsOf({ sources, statuses, metadata }) {
  const terms = filled({
    source: listTerm(sources),
    status: listTerm(statuses),
    ...Object.fromEntries(Object.entries(metadata ?? {}).map(([name, value]) => [`metadata.${name}`, String(value)])),
  });
  return Object.keys(terms).length === 0 ? undefined : terms;
}

function listTerm(values) {
  const given = (values ?? []).filter((value) => String(value).trim() !== "");
  return given.length === 0 ? undefined : { in: given };
}

async function subscribe(z, bundle) {
  const { events, ...conditions } = bundle.inputData;
  const { data } = await z.request({
    url: addressOf(bundle, "/v1/hooks"),
    method: "POST",
    json: filled({ targetUrl: bundle.targetUrl, events, where: conditionsOf(conditions) }),
  });
  // The id alone: Zapier keeps what is returned, and has no use for the signing secret.
  return { id: data.id };
}

async function unsubscribe(z, bundle) {
  const id = encodeURIComponent(bundle.subscribeData?.id ?? "");
  await z.request({ url: addressOf(bundle, `/v1/hooks/${id}`), method: "DELETE" });
  return {};
}

async function samples(z, bundle) {
  const { events } = bundle.inputData;
  const params = filled({ event: (events ?? []).join(","), limit: 3 });
  return (await z.request({ url: addressOf(bundle, "/v1/hooks/sample"), params })).data;
}

export const callStatusChanged = {
  key: "call_status_changed",
  noun: "Call",
  display: {
    label: "Call Status Changed",
    description: "Triggers when the status of a watched outbound call changes, once for each change.",
  },
  operation: {
    type: "hook",
    performSubscribe: subscribe,
    performUnsubscribe: unsubscribe,
    perform: async (_z, bundle) => [bundle.cleanedRequest],
    performList: samples,
    inputFields: [
      {
        key: "events",
        label: "Events",
        type: "string",
        list: true,
        required: false,
        choices: eventChoices,
        helpText: "Left out: every change of a call. For its outcome alone choose the first.",
      },
      {
        key: "sources",
        label: "Only Sources",
        type: "string",
        list: true,
        required: false,
        dynamic: "source_list.id.name",
        helpText: "Left out: every source of the account.",
      },
      {
        key: "statuses",
        label: "Only Statuses",
        type: "string",
        list: true,
        required: false,
        helpText: "`queued`, `calling`, `success`, `failure`, or another word of your source in lower case. Left out: every status.",
      },
      {
        key: "metadata",
        label: "Only Calls With Metadata",
        type: "string",
        dict: true,
        required: false,
        helpText: "Pairs that the metadata of the call must have, for example `team` and `north`.",
      },
    ],
    outputFields: eventFields,
    sample: eventSample,
  },
};
