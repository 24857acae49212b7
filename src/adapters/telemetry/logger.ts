import { pino } from "pino";
import type { Logger } from "../../ports/telemetry.ts";
import { LogDestination } from "./log-destination.ts";

/** Standard output of the process, which all its loggers share. */
export const logDestination = new LogDestination();

/** Paths redacted as a safeguard; by rule no caller logs them at all. */
const redactedPaths = ["authorization", "headers", "secret", "signing_secret", "key", "token", "credential", "metadata", "body"].flatMap(
  (name) => [name, `*.${name}`],
);

/** Creates a logger that writes JSON lines to standard output, with times in ISO 8601. */
export function createLogger(level: string): Logger {
  const redact = { paths: redactedPaths, censor: "[redacted]" };
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, redact }, logDestination);
}
