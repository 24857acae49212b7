import { DatabaseSync } from "node:sqlite";
import { setTimeout as wait } from "node:timers/promises";

/*
 * A reader of the feed as a client would write it: `node feed-reader-program.ts <url> <key> <file>`. The effect of an event
 * and the cursor behind it are one transaction of its own SQLite file, so a kill at any instant leaves both or neither. An
 * event that has its effect already gets none again and is noted in `repeats`. After a 409 it goes on with `since`. It
 * writes one line when it begins.
 */

const [url = "", key = "", file = ""] = process.argv.slice(2);
type Page = {
  readonly data: readonly { readonly id: string; readonly timestamp: string }[];
  readonly next_cursor: string;
};

const db = new DatabaseSync(file, { timeout: 5000 });
// What a killed process wrote stays without a sync.
db.exec(`pragma journal_mode = wal; pragma synchronous = off;
  create table if not exists effects (n integer primary key, event_id text not null, at text not null);
  create index if not exists effects_by_event on effects (event_id);
  create table if not exists repeats (event_id text not null, gone integer not null);
  create table if not exists place (cursor text, since text, gone integer not null);
  insert into place select null, null, 0 where not exists (select 1 from place)`);
const place = db.prepare("select cursor, since, gone from place");
const has = db.prepare("select 1 from effects where event_id = ?");
const apply = db.prepare("insert into effects (event_id, at) values (?, ?)");
const repeat = db.prepare("insert into repeats select ?, gone from place");
const moveOn = db.prepare("update place set cursor = ?, since = null");
const startOver = db.prepare("update place set cursor = null, since = (select at from effects order by at desc limit 1), gone = gone + 1");

process.stdout.write("reading\n");
for (;;) {
  const { cursor, since } = place.get() as { readonly cursor: string | null; readonly since: string | null };
  const from = cursor === null ? (since === null ? "" : `&since=${since}`) : `&after=${cursor}`;
  const response = await fetch(`${url}/v1/events?limit=20&wait=5${from}`, { headers: { "x-api-key": key } }).catch(() => null);
  if (response?.status === 409) startOver.run();
  if (response?.status !== 200) {
    await wait(50);
    continue;
  }
  const page = (await response.json().catch(() => null)) as Page | null;
  if (page === null) continue;
  db.exec("begin immediate");
  for (const { id, timestamp } of page.data) {
    if (has.get(id) === undefined) apply.run(id, timestamp);
    else repeat.run(id);
  }
  moveOn.run(page.next_cursor);
  db.exec("commit");
}
