import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

/** The only script of the dashboard. It runs in the browser. */
export const liveScript = readFileSync(new URL("live-page.js", import.meta.url), "utf8");
/** Its name below the dashboard or a portal. */
export const scriptName = `live-${createHash("sha256").update(liveScript).digest("hex").slice(0, 16)}.js`;
