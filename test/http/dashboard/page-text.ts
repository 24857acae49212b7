const named: Readonly<Record<string, string>> = { "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&amp;": "&" };

/** What a page says, without its tags, in one line. */
export function textOf(page: string): string {
  const body = page.slice(page.indexOf("<body"));
  return unescaped(body.replaceAll(/<[^>]*>/g, " "))
    .replaceAll(/\s+/g, " ")
    .trim();
}

/** The addresses a page leads to. */
export function linksOf(page: string): readonly string[] {
  return [...page.matchAll(/ href="([^"]*)"/g)].map(([, href]) => unescaped(href ?? ""));
}

/** Returns the tags with the names of their attributes, in order, without texts and values. */
export function skeletonOf(page: string): readonly string[] {
  return [...page.matchAll(/<(?:"[^"]*"|[^">])*>?/g)].map(([tag]) => tag.replaceAll(/="[^"]*"/g, "="));
}

export function unescaped(text: string): string {
  return text.replaceAll(/&(?:lt|gt|quot|#39|amp);/g, (entity) => named[entity] ?? entity);
}
