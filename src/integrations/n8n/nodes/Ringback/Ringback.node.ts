import type { IExecuteFunctions, ILoadOptionsFunctions, INodeExecutionData, INodeType, INodeTypeDescription } from "n8n-workflow";
import { callFields } from "./fields";
import { runOperation } from "./operations";
import { credentialName, sourceChoices } from "./requests";

export class Ringback implements INodeType {
  description: INodeTypeDescription = {
    displayName: "Ringback",
    name: "ringback",
    icon: "file:ringback.svg",
    group: ["transform"],
    version: 1,
    subtitle: '={{ $parameter["operation"] }}',
    description: "Place, watch and await outbound calls",
    defaults: { name: "Ringback" },
    usableAsTool: true,
    inputs: ["main"],
    outputs: ["main"],
    credentials: [{ name: credentialName, required: true }],
    properties: [
      {
        displayName: "Operation",
        name: "operation",
        type: "options",
        noDataExpression: true,
        options: [
          { name: "Get Call", value: "get", description: "Get the last known status of a call", action: "Get a call" },
          { name: "Place Call", value: "place", description: "Place a call and watch it", action: "Place a call" },
          { name: "Wait for End", value: "wait", description: "Wait until a watched call has ended", action: "Wait for the end of a call" },
          { name: "Watch Call", value: "watch", description: "Watch a call that was started elsewhere", action: "Watch a call" },
        ],
        default: "watch",
      },
      ...callFields,
    ],
  };

  methods = {
    loadOptions: {
      async getSources(this: ILoadOptionsFunctions) {
        return sourceChoices(this);
      },
    },
  };

  async execute(this: IExecuteFunctions): Promise<INodeExecutionData[][]> {
    return [await runOperation(this)];
  }
}
