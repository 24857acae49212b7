import { setFlagsFromString } from "node:v8";

// Preloaded before every entry point. An older Node cannot load a `.ts` file at all, so only a plain module can report the reason.
const required = 24;
const running = Number(process.versions.node.split(".")[0]);
if (running < required) {
  process.stderr.write(
    `ringback needs Node ${required} or newer, this is ${process.versions.node}: run it through "npm run" after "npm ci", or install Node ${required}\n`,
  );
  process.exit(78);
}
await import("./service/compile-cache.mjs");

// V8 allocates objects in the old generation if earlier ones of the same place survived. Those of polls survive by chance, when
// a collection finds them in flight, and then every later poll would be garbage that only a full collection finds.
setFlagsFromString("--no-allocation-site-pretenuring");

// V8 derives these limits from the memory of the machine. On a large one it lets every thread keep much more garbage than on a
// small one, so that the same work takes twice the memory. The old generation has no fixed limit, because a start with many
// pending webhooks needs more for a moment. The main thread has its young generation already: its limit is on the command line.
setFlagsFromString("--heap-growing-percent=10");
setFlagsFromString("--max-semi-space-size=2");
