// Runs in the browser, on pages that say they are live. The server says that something has changed; then the page fetches itself
// and takes over the parts marked `data-live`. Without this script a page shows the same and stays as it was.
(() => {
  const { stream: streamUrl } = document.currentScript.dataset;
  const main = document.getElementById("main");
  /**
   * Time between two fetches, at least; time until the next one without a sign from the server, which does not announce attempts, nor
   * anything of pages without a stream.
   */
  const leastGapMs = 1000;
  /** Part of the time, at most, in which the server works for this page: one in twenty. */
  const durationRatio = 20;
  const idleMs = streamUrl === undefined ? 2000 : 10_000;
  /** Delays of the fetches after a change: its webhooks are attempted now, and 5 s after a failure. */
  const echoesMs = [0, 1500, 6500];

  let source = null;
  let timer = null;
  let dueAt = Infinity;
  let notBefore = 0;
  let isFetching = false;
  let isPaused = false;
  let isOver = false;
  let isPressed = false;

  const bar = document.createElement("div");
  bar.className = "live";
  const state = document.createElement("span");
  state.setAttribute("role", "status");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "plain";
  bar.append(state, button);
  main.prepend(bar);

  function show(text, kind) {
    if (state.textContent !== text) state.textContent = text;
    bar.dataset.state = kind;
  }

  function ask(delayMs) {
    if (isOver || isPaused || document.hidden) return;
    const at = Math.max(performance.now() + delayMs, notBefore);
    if (at >= dueAt) return;
    dueAt = at;
    clearTimeout(timer);
    timer = setTimeout(refresh, Math.max(0, at - performance.now()));
  }

  let echoes = [];
  function changed() {
    echoes.forEach(clearTimeout);
    echoes = echoesMs.map((ms) => setTimeout(() => ask(0), ms));
  }

  async function refresh() {
    dueAt = Infinity;
    // What is under a pressed button or a selection must not move. It is asked for again soon.
    if (isFetching || isPressed || !getSelection().isCollapsed) return ask(leastGapMs);
    isFetching = true;
    const begunMs = performance.now();
    try {
      const answer = await window.fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store", redirect: "error" });
      if (answer.ok) {
        take(new DOMParser().parseFromString(await answer.text(), "text/html"));
        const isOn = streamUrl === undefined || source?.readyState === 1;
        if (!isOver) show(isOn ? "Live" : "Refreshed every 10 s", isOn ? "on" : "slow");
      } else if (answer.status < 500 && answer.status !== 429 && answer.status !== 408) {
        return end(answer.status === 404 ? "No longer there" : "Session ended: reload the page");
      } else show("Service not available, trying again", "slow");
    } catch {
      show("No connection, trying again", "slow");
    } finally {
      isFetching = false;
      const nowMs = performance.now();
      notBefore = nowMs + Math.max(leastGapMs, (nowMs - begunMs) * durationRatio);
    }
    ask(idleMs);
  }

  function take(page) {
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = page.getElementById(part.id);
      if (next !== null) morph(part, next);
    }
  }

  /** Name by which a row or card is found again after others were put before it: its own id, or the page that it leads to. */
  function nameOf(node) {
    if (node.nodeType !== 1) return "";
    if (node.id !== "") return node.id;
    return /^(TR|LI)$/.test(node.nodeName) ? (node.querySelector("a")?.getAttribute("href") ?? "") : "";
  }

  /** Makes a node like another one and keeps what is the same, so that focus, scrolling and open details stay. */
  function morph(node, like) {
    for (const { name } of Array.from(node.attributes)) if (!like.hasAttribute(name) && name !== "open") node.removeAttribute(name);
    for (const { name, value } of like.attributes) if (name !== "open" && node.getAttribute(name) !== value) node.setAttribute(name, value);
    const named = new Map([...node.childNodes].map((child) => [nameOf(child), child]));
    named.delete("");
    let at = node.firstChild;
    for (const wanted of like.childNodes) {
      const name = nameOf(wanted);
      const isSame = at !== null && nameOf(at) === name && at.nodeName === wanted.nodeName;
      const found = isSame ? at : name === "" ? null : (named.get(name) ?? null);
      named.delete(name);
      if (found === null || found.nodeName !== wanted.nodeName) {
        node.insertBefore(document.importNode(wanted, true), at);
        continue;
      }
      if (found === at) at = at.nextSibling;
      else node.insertBefore(found, at);
      if (found.nodeType === 1) morph(found, wanted);
      else if (found.data !== wanted.data) found.data = wanted.data;
    }
    while (at !== null) {
      const after = at.nextSibling;
      at.remove();
      at = after;
    }
  }

  function connect() {
    if (streamUrl === undefined || source !== null || isOver || isPaused || document.hidden) return;
    source = new EventSource(streamUrl);
    source.addEventListener("open", () => {
      show("Live", "on");
      // Something may have changed before the stream was open.
      changed();
    });
    source.addEventListener("changed", changed);
    source.addEventListener("error", () => {
      show("Refreshed every 10 s", "slow");
      // The browser opens a stream that broke off by itself; a refused one is opened again with the next page that is answered.
      if (source?.readyState === 2) {
        disconnect();
        setTimeout(connect, idleMs);
      }
      ask(0);
    });
  }

  function disconnect() {
    source?.close();
    source = null;
  }

  function end(text) {
    isOver = true;
    stop();
    button.remove();
    show(text, "off");
  }

  function stop() {
    disconnect();
    clearTimeout(timer);
    echoes.forEach(clearTimeout);
    dueAt = Infinity;
  }

  function start() {
    button.textContent = "Pause updates";
    show("Connecting", "slow");
    connect();
    ask(leastGapMs);
  }

  button.addEventListener("click", () => {
    isPaused = !isPaused;
    if (!isPaused) return start();
    stop();
    button.textContent = "Resume updates";
    show("Paused", "off");
  });
  // A browser opens six connections to a host, so a tab that is not looked at gives its own back.
  document.addEventListener("visibilitychange", () => {
    if (isOver || isPaused) return;
    if (document.hidden) stop();
    else start();
  });
  addEventListener("pagehide", stop);
  addEventListener("pageshow", ({ persisted }) => persisted && !isOver && !isPaused && start());
  addEventListener("pointerdown", () => void (isPressed = true), true);
  for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => setTimeout(() => (isPressed = false)), true);
  start();
})();
