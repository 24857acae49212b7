import type { JsonValue, RequestTemplate } from "./request-template.ts";

/*
 * `data.status` is null in operational events and `data.state` in all others, so that both together are the one that
 * applies. Values go only where the vendor reads plain text: a reason must neither mention anybody nor become a link.
 */
const lines = [
  "Call: {{data.call_sid}}",
  "Status: {{data.status}}{{data.state}}",
  "Previous status: {{data.previous_status}}",
  "Source: {{data.source}}",
  "Endpoint: {{data.endpoint_id}}",
  "Observed at: {{data.observed_at}}",
];
const reason = "Reason: {{data.reason}}";

const plainText = (text: string): JsonValue => ({ type: "plain_text", text, emoji: false });

/**
 * Message of a Slack incoming webhook. Slack looks for mentions in `text`, which is therefore without values from outside, and
 * not in elements of the type `plain_text`.
 */
const slack: RequestTemplate = {
  method: "POST",
  content_type: "application/json",
  body: {
    text: "Ringback: {{type}}",
    blocks: [
      { type: "header", text: plainText("{{type}}") },
      { type: "section", fields: lines.map(plainText) },
      { type: "section", text: plainText(reason) },
    ],
  },
};

/** A line without Markdown: a TextBlock reads it, a TextRun does not (Adaptive Cards 1.2 and later). */
const run = (text: string, style: Readonly<Record<string, JsonValue>> = {}): JsonValue => ({
  type: "RichTextBlock",
  inlines: [{ type: "TextRun", text, ...style }],
});

/** Message of a Teams workflow: one adaptive card. */
const teams: RequestTemplate = {
  method: "POST",
  content_type: "application/json",
  body: {
    type: "message",
    attachments: [
      {
        contentType: "application/vnd.microsoft.card.adaptive",
        content: {
          $schema: "http://adaptivecards.io/schemas/adaptive-card.json",
          type: "AdaptiveCard",
          version: "1.4",
          body: [run("{{type}}", { weight: "bolder", size: "medium" }), ...[...lines, reason].map((line) => run(line))],
        },
      },
    ],
  },
};

/** Templates that are formats of their own. */
export const shippedTemplates = { slack, teams } as const;
