import type { INodeProperties } from "n8n-workflow";

const show = (...operation: string[]) => ({ show: { operation } });

const metadataValues: INodeProperties["options"] = [
  {
    displayName: "Pair",
    name: "pair",
    values: [
      { displayName: "Name", name: "name", type: "string", default: "", description: "Letters, digits and _" },
      { displayName: "Value", name: "value", type: "string", default: "" },
    ],
  },
];

export const metadataField: INodeProperties = {
  displayName: "Metadata",
  name: "metadata",
  type: "fixedCollection",
  typeOptions: { multipleValues: true },
  placeholder: "Add Pair",
  default: {},
  description: "Up to 16 pairs that come back with every event of the call",
  options: metadataValues,
};

export const sourceField: INodeProperties = {
  displayName: "Source Name or ID",
  name: "source",
  type: "options",
  typeOptions: { loadOptionsMethod: "getSources" },
  default: "",
  description:
    'Where the call runs. Left out: default, or the only source of the account. Choose from the list, or specify an ID using an <a href="https://docs.n8n.io/code/expressions/">expression</a>.',
};

export const callFields: INodeProperties[] = [
  {
    displayName: "Call SID",
    name: "callSid",
    type: "string",
    default: "",
    required: true,
    placeholder: "OUT-sandbox-success-1",
    description: "SID that the request which started the call returned",
    displayOptions: show("get", "watch"),
  },
  {
    displayName: "Call",
    name: "call",
    type: "json",
    default: '{\n  "to_number": "+442079460000"\n}',
    required: true,
    description:
      'The upstream\'s own request: to_number for the older API of PolyAI, toNumber for its Agents API. For a trial: {"scenario": "success"} with the source sandbox.',
    displayOptions: show("place"),
  },
  {
    displayName: "Unique Key",
    name: "idempotencyKey",
    type: "string",
    default: "={{ $execution.id }}-{{ $itemIndex }}",
    required: true,
    description:
      "Different for each call. No second call is placed with the same key. The ID of the record that the call is about also holds when the workflow is started a second time.",
    displayOptions: show("place"),
  },
  {
    displayName: "Watch ID",
    name: "watchId",
    type: "string",
    default: "={{ $json.id }}",
    required: true,
    placeholder: "wch_1kw4kg04000",
    description: "ID that the operations Watch and Place return",
    displayOptions: show("wait"),
  },
  {
    displayName: "Wait at Most (Minutes)",
    name: "maxMinutes",
    type: "number",
    typeOptions: { minValue: 1 },
    default: 60,
    description: "How long to wait for the end of the call before the node fails",
    displayOptions: show("wait"),
  },
  { ...sourceField, displayOptions: show("get", "place", "watch") },
  {
    displayName: "Callback URL",
    name: "callbackUrl",
    type: "string",
    default: "",
    placeholder: "={{ $execution.resumeUrl }}",
    description:
      "Where to send the end of the call. With {{ $execution.resumeUrl }} a Wait node that follows goes on when the call has ended. Left out: the workflows with the trigger receive the events of the call.",
    displayOptions: show("place", "watch"),
  },
  { ...metadataField, displayOptions: show("place", "watch") },
];
