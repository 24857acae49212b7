/** The longest wait a receiver or upstream can ask for. */
export const retryAfterMaxMs = 24 * 60 * 60 * 1000;

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const imfFixdate = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT$/;
const rfc850Date = /^(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (\d{2})-([A-Z][a-z]{2})-(\d{2}) (\d{2}):(\d{2}):(\d{2}) GMT$/;
const asctimeDate = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([A-Z][a-z]{2}) ([ \d]\d) (\d{2}):(\d{2}):(\d{2}) (\d{4})$/;

/**
 * How long a `Retry-After` asks to wait, in milliseconds, capped at 24 h; null where it says nothing usable.
 * RFC 9110 §10.2.3: delay-seconds (here 1 to 10 digits) or an HTTP-date. The past, zero, negative, fractional and
 * unreadable values count as absent: the other side does not get to shorten a wait, only to lengthen it.
 */
export function parseRetryAfter(value: string | null | undefined, nowMs: number): number | null {
  if (value === null || value === undefined || value.length > 64) return null;
  const text = value.trim();
  if (/^\d{1,10}$/.test(text)) return capped(Number(text) * 1000);
  const atMs = parseHttpDate(text, nowMs);
  return atMs === null ? null : capped(atMs - nowMs);
}

/** RFC 9110 §5.6.7: the one format to send and the two obsolete ones to accept. `nowMs` places a two-digit year. */
export function parseHttpDate(text: string, nowMs: number): number | null {
  const fixdate = imfFixdate.exec(text);
  if (fixdate !== null) return utc(fixdate[3], fixdate[2], fixdate[1], fixdate[4], fixdate[5], fixdate[6]);
  const asctime = asctimeDate.exec(text);
  if (asctime !== null) return utc(asctime[6], asctime[1], asctime[2]?.trim(), asctime[3], asctime[4], asctime[5]);
  const rfc850 = rfc850Date.exec(text);
  if (rfc850 === null) return null;
  const thisYear = new Date(nowMs).getUTCFullYear();
  const century = thisYear - (thisYear % 100);
  const year = century + Number(rfc850[3]);
  return utc(String(year > thisYear + 50 ? year - 100 : year), rfc850[2], rfc850[1], rfc850[4], rfc850[5], rfc850[6]);
}

function utc(...[year, month, day, hour, minute, second]: readonly (string | undefined)[]): number | null {
  const monthIndex = months.indexOf(month ?? "");
  const [d, h, m, s] = [Number(day), Number(hour), Number(minute), Number(second)];
  if (monthIndex < 0 || !(d >= 1 && d <= 31 && h <= 23 && m <= 59 && s <= 60)) return null;
  const atMs = Date.UTC(Number(year), monthIndex, d, h, m, s);
  return new Date(atMs).getUTCMonth() === monthIndex || s === 60 ? atMs : null;
}

function capped(ms: number): number | null {
  return ms > 0 ? Math.min(ms, retryAfterMaxMs) : null;
}
