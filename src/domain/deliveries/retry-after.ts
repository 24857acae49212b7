/** Longest wait that a `Retry-After` can request. */
export const retryAfterMaxMs = 24 * 60 * 60 * 1000;

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const imfFixdate = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT$/;
const rfc850Date = /^(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (\d{2})-([A-Z][a-z]{2})-(\d{2}) (\d{2}):(\d{2}):(\d{2}) GMT$/;
const asctimeDate = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([A-Z][a-z]{2}) ([ \d]\d) (\d{2}):(\d{2}):(\d{2}) (\d{4})$/;

/**
 * Parses a `Retry-After` into milliseconds, at most 24 h; `null` if it is absent or unusable. RFC 9110 §10.2.3:
 * delay-seconds (here 1 to 9 digits, 0 included) or an HTTP-date. Other values count as absent: dates that are not in the
 * future, negative numbers, fractions, larger numbers (an epoch) and unreadable text. So a peer can lengthen a wait, but
 * not shorten it.
 */
export function parseRetryAfter(value: string | null | undefined, nowMs: number): number | null {
  if (value === null || value === undefined || value.length > 64) return null;
  const text = value.replaceAll(/^[ \t]+|[ \t]+$/g, "");
  if (/^\d{1,9}$/.test(text)) return Math.min(Number(text) * 1000, retryAfterMaxMs);
  const atMs = parseHttpDate(text, nowMs);
  return atMs === null || atMs <= nowMs ? null : Math.min(atMs - nowMs, retryAfterMaxMs);
}

/** Parses an HTTP-date in any of the three formats of RFC 9110 §5.6.7; `null` if it is unreadable. `nowMs` resolves a two-digit year. */
export function parseHttpDate(text: string, nowMs: number): number | null {
  const fixdate = imfFixdate.exec(text);
  if (fixdate !== null) return utc(fixdate[3], fixdate[2], fixdate[1], fixdate[4], fixdate[5], fixdate[6]);
  const asctime = asctimeDate.exec(text);
  if (asctime !== null) return utc(asctime[6], asctime[1], asctime[2]?.trim(), asctime[3], asctime[4], asctime[5]);
  const rfc850 = rfc850Date.exec(text);
  if (rfc850 === null) return null;
  // A two-digit year more than 50 years ahead is the most recent past year that ends in those digits.
  const horizon = new Date(nowMs);
  const lastYear = horizon.getUTCFullYear() + 50;
  horizon.setUTCFullYear(lastYear);
  const year = lastYear - ((lastYear - Number(rfc850[3])) % 100);
  const atMs = utc(String(year), rfc850[2], rfc850[1], rfc850[4], rfc850[5], rfc850[6]);
  if (atMs === null || atMs <= horizon.getTime()) return atMs;
  return utc(String(year - 100), rfc850[2], rfc850[1], rfc850[4], rfc850[5], rfc850[6]);
}

function utc(...[year, month, day, hour, minute, second]: readonly (string | undefined)[]): number | null {
  const monthIndex = months.indexOf(month ?? "");
  const [d, h, m, s] = [Number(day), Number(hour), Number(minute), Number(second)];
  if (!(d >= 1 && d <= 31 && h <= 23 && m <= 59 && s <= 60)) return null;
  const dayMs = Date.UTC(Number(year), monthIndex, d);
  // An unknown month, or a day that the month lacks, results in another month. A leap second becomes the first second of the next minute.
  return new Date(dayMs).getUTCMonth() === monthIndex ? dayMs + ((h * 60 + m) * 60 + s) * 1000 : null;
}
