// Searches guides and reference on pages under /docs. Without this script the pages have plain links to the same places.
const mostFound = 12;
const form = document.querySelector("form[role=search]");
const input = form.querySelector("input");
const list = document.querySelector("#found");
const summary = document.querySelector("#found-count");

/** Index of every section and operation: `{ title, place, path, text }` each. It is loaded when the field gets the focus. */
let loading = null;
const loadIndex = () => (loading ??= fetch(form.dataset.index).then((response) => response.json()));

/** Returns the entries that have every word, those that have them in the title first. */
function find(entries, query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return [];
  const scored = entries.flatMap((entry) => {
    const title = `${entry.title} ${entry.place}`.toLowerCase();
    const text = entry.text.toLowerCase();
    if (!words.every((word) => title.includes(word) || text.includes(word))) return [];
    return [{ entry, score: words.filter((word) => title.includes(word)).length }];
  });
  return scored.toSorted((a, b) => b.score - a.score).map(({ entry }) => entry);
}

function itemOf({ title, place, path }) {
  const link = document.createElement("a");
  link.href = path;
  link.textContent = title;
  const where = document.createElement("span");
  where.textContent = place;
  const item = document.createElement("li");
  item.append(link, where);
  return item;
}

async function show() {
  const entries = await loadIndex();
  const found = find(entries, input.value);
  list.replaceChildren(...found.slice(0, mostFound).map(itemOf));
  const count = found.length > mostFound ? `the first ${mostFound} of ${found.length}` : String(found.length);
  summary.textContent = input.value.trim() === "" ? "" : `Found: ${count}`;
}

form.hidden = false;
input.addEventListener("focus", () => void loadIndex(), { once: true });
input.addEventListener("input", () => void show());
form.addEventListener("submit", (event) => {
  event.preventDefault();
  list.querySelector("a")?.click();
});
