import { flushCompileCache } from "node:module";
import { readConfig } from "./service/config.ts";
import { StartupError, StoreUnavailableError } from "./domain/errors.ts";
import { logDestination } from "./adapters/telemetry/logger.ts";
import { createService } from "./service/create-service.ts";

const exitRefused = 78;
const exitBroken = 70;
/** Time for the last lines of the log. A reader that has stopped does not hold up the end for longer. */
const lastLinesMs = 500;

function end(exitCode: number, lines: readonly string[]): never {
  process.stderr.write(lines.map((line) => `ringback: ${line}\n`).join(""));
  process.exit(exitCode);
}

const result = readConfig();
if (result.kind === "invalid") end(exitRefused, result.faults);

// Installed before the start, so that no signal is lost: one during the start ends the wait for the database, or else the
// service right after the start.
const stopRequested = Promise.withResolvers<null>();
const stopping = new AbortController();
const requestStop = (): void => {
  stopRequested.resolve(null);
  stopping.abort();
};
process.on("SIGTERM", requestStop).on("SIGINT", requestStop);

// A process that is killed leaves what it compiled to the next one, too.
flushCompileCache();

try {
  const service = await createService(result.config, result.secrets, { signal: stopping.signal });
  const stopAnnounced = stopRequested.promise.then(() => service.announceStop()).then(() => null);
  const broken = await Promise.race([stopAnnounced, service.fatal]);
  if (broken !== null) await logDestination.flush(lastLinesMs);
  if (broken !== null) end(exitBroken, [broken.message]);
  await service.stop();
  await logDestination.flush(lastLinesMs);
  process.exit(0);
} catch (error) {
  await logDestination.flush(lastLinesMs);
  if (error === stopping.signal.reason) process.exit(0);
  if (error instanceof StartupError) end(exitRefused, [error.message]);
  // The store broke during the start.
  if (error instanceof StoreUnavailableError) end(exitBroken, [error.message]);
  throw error;
}
