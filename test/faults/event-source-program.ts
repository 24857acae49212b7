// Reads the event stream by the rules of EventSource (HTML Standard, section 9.2): `node event-source-program.ts <url> <key>`.
const [url = "", key = ""] = process.argv.slice(2);
for (let id = ""; ; await new Promise((resolve) => setTimeout(resolve, 100))) {
  const headers = { accept: "text/event-stream", "x-api-key": key, "last-event-id": id };
  const answer = await fetch(`${url}/v1/events`, { headers }).catch(() => null);
  let rest = "";
  for await (const part of until(answer?.body ?? null)) {
    const messages = `${rest}${part}`.split("\n\n");
    rest = messages.pop() ?? "";
    for (const message of messages) {
      const fields = new Map(message.split("\n").map((line) => [line.split(":", 1)[0], line.replace(/^[^:]*: ?/, "")]));
      id = fields.get("id") ?? id;
      if (fields.has("data")) process.stdout.write(`${fields.get("data")}\n`);
    }
  }
}

/** Yields the text of a body. A connection that breaks off ends it. */
async function* until(body: ReadableStream<Uint8Array> | null): AsyncGenerator<string> {
  try {
    for await (const part of body?.pipeThrough(new TextDecoderStream()) ?? []) yield part;
  } catch {
    // Connected again with the last id.
  }
}
