import type { IAuthenticateGeneric, ICredentialTestRequest, ICredentialType, INodeProperties } from "n8n-workflow";

export class RingbackApi implements ICredentialType {
  name = "ringbackApi";
  displayName = "Ringback API";
  icon = "file:ringback.svg" as const;
  documentationUrl = "https://ringback.example/docs/guides/no-code";

  properties: INodeProperties[] = [
    {
      displayName: "Address",
      name: "url",
      type: "string",
      default: "",
      required: true,
      placeholder: "https://ringback.example.com",
      description: "Address of the Ringback service",
    },
    {
      displayName: "API Key",
      name: "apiKey",
      type: "string",
      typeOptions: { password: true },
      default: "",
      required: true,
      description: "The trigger needs the scope endpoints, watching needs watch, placing needs place",
    },
    {
      displayName: "Signing Secret",
      name: "signingSecret",
      type: "string",
      typeOptions: { password: true },
      default: "",
      placeholder: "whsec_…",
      description:
        "Optional: whsec_ and base64 of 24 to 64 bytes. The trigger gives it to Ringback and refuses webhooks that are not signed with it.",
    },
  ];

  authenticate: IAuthenticateGeneric = {
    type: "generic",
    properties: { headers: { "X-API-Key": "={{$credentials.apiKey}}" } },
  };

  test: ICredentialTestRequest = {
    request: { baseURL: '={{$credentials.url.trim().replace(/\\/+$/, "")}}', url: "/v1/me" },
  };
}
