/** What is wrong with an address that requests are made of by adding paths; null: nothing. */
export function httpUrlFault(text: string): string | null {
  const url = URL.parse(text);
  if (url === null || !["http:", "https:"].includes(url.protocol)) return "must be an absolute http or https URL";
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "")
    return "must have no credentials, query or fragment";
  return null;
}
