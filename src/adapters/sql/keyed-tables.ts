/** Tables whose ids are keys (see `domain/ids.ts`). A start reads the newest key of all of them. */
export const keyedTables = [
  "accounts",
  "api_keys",
  "secrets",
  "calls",
  "endpoints",
  "watches",
  "hooks",
  "deliveries",
  "sources",
  "placings",
  "portal_links",
  "audit",
  "marks",
] as const;
