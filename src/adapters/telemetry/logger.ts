import { pino } from "pino";
import type { Logger } from "../../ports/telemetry.ts";

/** A second net under the rule that no caller logs these at all. */
const redactedPaths = ["authorization", "headers", "secret", "signing_secret", "key", "token", "credential", "metadata", "body"].flatMap(
  (name) => [name, `*.${name}`],
);

/** JSON lines on standard output, times as ISO 8601. */
export function createLogger(level: string): Logger {
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, redact: { paths: redactedPaths, censor: "[redacted]" } });
}
