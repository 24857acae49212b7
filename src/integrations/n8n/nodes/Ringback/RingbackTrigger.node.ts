import type {
  IDataObject,
  IHookFunctions,
  ILoadOptionsFunctions,
  INodeType,
  INodeTypeDescription,
  IWebhookFunctions,
  IWebhookResponseData,
} from "n8n-workflow";
import { metadataField } from "./fields";
import { credentialName, objectOf, request, signingSecretOf, sourceChoices } from "./requests";
import type { Pairs } from "./requests";
import { isSigned } from "./signature";

/** Returns what the hook is made with. */
async function hookRequest(context: IHookFunctions): Promise<IDataObject> {
  const filters = context.getNodeParameter("filters", {}) as { sources?: string[]; statuses?: string[]; metadata?: Pairs };
  const where: IDataObject = {
    ...((filters.sources ?? []).length === 0 ? {} : { source: { in: filters.sources } }),
    ...((filters.statuses ?? []).length === 0 ? {} : { status: { in: filters.statuses } }),
    ...objectOf(filters.metadata ?? {}, "metadata."),
  };
  const [events, secret] = [context.getNodeParameter("events", []) as string[], await signingSecretOf(context)];
  return {
    url: context.getNodeWebhookUrl("default"),
    ...(events.length === 0 ? {} : { events }),
    ...(Object.keys(where).length === 0 ? {} : { where }),
    ...(secret === "" ? {} : { signing_secret: secret }),
  };
}

export class RingbackTrigger implements INodeType {
  description: INodeTypeDescription = {
    displayName: "Ringback Trigger",
    name: "ringbackTrigger",
    icon: "file:ringback.svg",
    group: ["trigger"],
    version: 1,
    subtitle: '={{ $parameter["events"].join(", ") }}',
    description: "Starts the workflow when the status of a watched call changes",
    defaults: { name: "Ringback Trigger" },
    inputs: [],
    outputs: ["main"],
    credentials: [{ name: credentialName, required: true }],
    webhooks: [{ name: "default", httpMethod: "POST", responseMode: "onReceived", path: "webhook" }],
    properties: [
      {
        displayName: "Events",
        name: "events",
        type: "multiOptions",
        default: ["terminal"],
        description: "Left empty: every change of a call",
        options: [
          { name: "Any Change of the Call", value: "call.*" },
          { name: "Call Ended, or No Outcome", value: "terminal" },
          { name: "Call Failed", value: "call.failure" },
          { name: "Call Has Another Status", value: "call.other" },
          { name: "Call Is Overdue", value: "call.overdue" },
          { name: "Call Is Queued", value: "call.queued" },
          { name: "Call Rings or Is Connected", value: "call.calling" },
          { name: "Call Succeeded", value: "call.success" },
          { name: "It Is Unknown Whether a Call Was Placed", value: "call.unknown" },
          { name: "There Will Be No Outcome", value: "watch.*" },
        ],
      },
      {
        displayName: "Filters",
        name: "filters",
        type: "collection",
        placeholder: "Add Filter",
        default: {},
        options: [
          { ...metadataField, description: "Pairs that the metadata of the call must have" },
          {
            displayName: "Source Names or IDs",
            name: "sources",
            type: "multiOptions",
            typeOptions: { loadOptionsMethod: "getSources" },
            default: [],
            description: 'Choose from the list, or specify IDs using an <a href="https://docs.n8n.io/code/expressions/">expression</a>',
          },
          {
            displayName: "Statuses",
            name: "statuses",
            type: "multiOptions",
            default: [],
            options: [
              { name: "Calling", value: "calling" },
              { name: "Failure", value: "failure" },
              { name: "Queued", value: "queued" },
              { name: "Success", value: "success" },
            ],
          },
        ],
      },
    ],
  };

  methods = {
    loadOptions: {
      async getSources(this: ILoadOptionsFunctions) {
        return sourceChoices(this);
      },
    },
  };

  webhookMethods = {
    default: {
      async checkExists(this: IHookFunctions): Promise<boolean> {
        const { hookId } = this.getWorkflowStaticData("node");
        if (typeof hookId !== "string") return false;
        const { status, body } = await request(this, "GET", `/v1/hooks/${hookId}`, { answerStatus: 404 });
        return status === 200 && body.url === this.getNodeWebhookUrl("default");
      },

      async create(this: IHookFunctions): Promise<boolean> {
        const { body } = await request(this, "POST", "/v1/hooks", { body: await hookRequest(this) });
        this.getWorkflowStaticData("node").hookId = body.id;
        return true;
      },

      async delete(this: IHookFunctions): Promise<boolean> {
        const data = this.getWorkflowStaticData("node");
        if (typeof data.hookId !== "string") return true;
        try {
          await request(this, "DELETE", `/v1/hooks/${data.hookId}`);
        } catch {
          return false;
        }
        delete data.hookId;
        return true;
      },
    },
  };

  async webhook(this: IWebhookFunctions): Promise<IWebhookResponseData> {
    const [secret, { rawBody, headers }] = [await signingSecretOf(this), this.getRequestObject()];
    if (secret !== "" && !isSigned(rawBody, headers, secret, Date.now())) {
      this.getResponseObject().status(401).json({ message: "the signature is not valid" });
      return { noWebhookResponse: true };
    }
    return { workflowData: [this.helpers.returnJsonArray(this.getBodyData())] };
  }
}
