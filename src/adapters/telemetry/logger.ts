import { pino } from "pino";
import type { Logger } from "../../ports/telemetry.ts";

/** Paths redacted as a safeguard; by rule no caller logs them at all. */
const redactedPaths = ["authorization", "headers", "secret", "signing_secret", "key", "token", "credential", "metadata", "body"].flatMap(
  (name) => [name, `*.${name}`],
);

/** Creates a logger that writes JSON lines to standard output, with times in ISO 8601. */
export function createLogger(level: string): Logger {
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, redact: { paths: redactedPaths, censor: "[redacted]" } });
}
