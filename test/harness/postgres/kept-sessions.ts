import pg from "pg";

type Done = (error?: Error | null) => void;
/** A client as `pg-pool` uses it. */
type PooledClient = Omit<pg.Client, "connect" | "end"> & {
  connect(done: Done): void;
  end(done: Done): void;
  readonly processID: number;
};
type KeptClient = PooledClient & {
  readonly isBroken: () => boolean;
  endForGood(): Promise<void>;
};

const plainPool = pg.Pool;
/** Idle sessions by the URL of their database. */
const idle = new Map<string, KeptClient[]>();

/** Ends transactions, locks, subscriptions and settings of a session. Its prepared statements and their plans stay. */
const reset = "rollback; reset all; unlisten *; select pg_advisory_unlock_all()";

function takeIdle(url: string): KeptClient | null {
  for (;;) {
    const kept = idle.get(url)?.pop();
    if (kept === undefined) return null;
    if (!kept.isBroken()) return kept;
  }
}

/** Returns an idle session of the database, or a client whose session stays when its pool ends it. */
function takeClient(options: pg.ClientConfig): KeptClient {
  const url = options.connectionString ?? "";
  return takeIdle(url) ?? createClient(url, options);
}

function createClient(url: string, options: pg.ClientConfig): KeptClient {
  const client = new pg.Client(options) as unknown as PooledClient;
  const [connect, end, query] = [client.connect.bind(client), client.end.bind(client), client.query.bind(client)];
  let state: "new" | "connected" | "broken" = "new";
  let running = 0;
  const watch = () => {
    for (const event of ["error", "end"] as const) client.on(event, () => (state = "broken"));
  };
  const endForGood = () => new Promise<void>((resolve) => end(() => resolve()));
  watch();
  const kept: KeptClient = Object.assign(client, {
    isBroken: () => state !== "connected",
    endForGood,
    query: (...given: Parameters<typeof query>) => {
      const result: unknown = query(...given);
      const settle = () => void running--;
      running += 1;
      Promise.resolve(result).then(settle, settle);
      return result as Promise<pg.QueryResult>;
    },
    connect: (done: Done) => {
      if (state === "connected") return process.nextTick(done);
      return connect((error) => {
        if (error === undefined || error === null) state = "connected";
        done(error);
      });
    },
    end: (done: Done) => {
      if (state !== "connected" || running > 0) return end(done);
      client.removeAllListeners();
      watch();
      // Statements of the next pool follow it on the wire. A session that cannot be reset ends.
      kept.query(reset).catch(endForGood);
      idle.set(url, [...(idle.get(url) ?? []), kept]);
      return done();
    },
  });
  return kept;
}

/** Returns the process ids of the idle sessions of a database. */
export const keptSessionsOf = (url: string): readonly number[] => (idle.get(url) ?? []).map(({ processID }) => processID);

/** Ends the idle sessions of a database. */
export async function endKeptSessionsOf(url: string): Promise<void> {
  const clients = idle.get(url) ?? [];
  idle.delete(url);
  await Promise.all(clients.map((client) => client.endForGood()));
}

/**
 * Keeps the session of a pool that ends for the next pool on the same database, until the returned function is called. A new
 * session reads the catalogue and plans every statement, which takes longer than the statements of a test. A session is
 * kept only if no statement runs on it.
 */
export function keepSessions(): () => void {
  class KeptPool extends plainPool {
    constructor(options: pg.PoolConfig) {
      super({ ...options, Client: takeClient as unknown as new () => pg.ClientBase });
    }
  }
  Object.assign(pg, { Pool: KeptPool });
  return () => void Object.assign(pg, { Pool: plainPool });
}
