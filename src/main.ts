import { readConfig } from "./config.ts";
import { StartRefused } from "./domain/errors.ts";
import { createService } from "./service.ts";

const exitRefused = 78;
const exitBroken = 70;

function refuse(lines: readonly string[]): never {
  process.stderr.write(lines.map((line) => `ringback: ${line}\n`).join(""));
  process.exit(exitRefused);
}

const result = readConfig();
if (result.kind === "invalid") refuse(result.faults);

try {
  const service = await createService(result.config, result.secrets);
  const stopped = Promise.withResolvers<null>();
  const stop = () => void service.stop().then(() => stopped.resolve(null), () => stopped.resolve(null));
  process.on("SIGTERM", stop).on("SIGINT", stop);
  const broken = await Promise.race([stopped.promise, service.fatal]);
  if (broken !== null) process.stderr.write(`ringback: ${broken.message}\n`);
  process.exit(broken === null ? 0 : exitBroken);
} catch (error) {
  if (error instanceof StartRefused) refuse([error.message]);
  throw error;
}
