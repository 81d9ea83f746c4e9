/**
 * The connection that events come by: kept open while somebody looks, opened again when it is lost.
 *
 * A `Socket` dispatches
 * - `state`, whose detail is `connecting`, `on`, `off` (lost, tried again), `full` (the server is there and lets nobody
 *   in) or `asleep` (nobody looks);
 * - `stats` with the figures of the moment, `event` with an announced event, `gap` when some were missed;
 * - `resumed` when it is open again: whatever happened meanwhile was not told.
 */

const SILENCE_MS = 12_000; // heartbeats come every 5 seconds
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
const FULL_PAUSE_MS = 4_000;
const LONGEST_FULL_PAUSE_MS = 60_000;
const SLEEPS_AFTER_MS = 20_000;

export class Socket extends EventTarget {
  #url;
  #socket = null;
  #state = "";
  #failures = 0;
  #wasOpen = false;
  #timer = 0;
  #watchdog = 0;
  #bedtime = 0;

  /** @param {string} path of the WebSocket, on the host of the page */
  constructor(path) {
    super();
    this.#url = new URL(path, location.href);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    document.addEventListener("visibilitychange", () => this.#noticeLooks());
    addEventListener("online", () => this.#retryNow());
    // A page with an open socket cannot be kept for the back button.
    addEventListener("pagehide", () => this.#sleep());
    addEventListener("pageshow", (shown) => shown.persisted && this.#retryNow());
  }

  /** `connecting`, `on`, `off`, `full` or `asleep`. */
  get state() {
    return this.#state;
  }

  /** Connect. Nothing is lost by calling it again. */
  open() {
    if (this.#socket) return;
    clearTimeout(this.#timer);
    if (!this.#wasOpen && !this.#failures) this.#become("connecting");
    const socket = new WebSocket(this.#url);
    let answered = false;
    this.#socket = socket;
    this.#watch();
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return;
      this.#watch();
      if (!answered) {
        answered = true;
        this.#stand();
      }
      this.#take(data);
    };
    socket.onclose = () => {
      if (socket === this.#socket) this.#lose(answered);
    };
  }

  #stand() {
    const isAgain = this.#wasOpen || this.#failures > 0;
    this.#wasOpen = true;
    this.#failures = 0;
    this.#become("on");
    if (isAgain) this.#tell("resumed");
  }

  #take(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return; // of another version of the server
    }
    if (message?.type === "initial_stats" || message?.type === "heartbeat") this.#tell("stats", message.data);
    else if (message?.type === "gap") this.#tell("gap", message.dropped);
    else if (message?.type && message.type !== "pong" && message.type !== "error") this.#tell("event", message);
  }

  async #lose(wasAnswered) {
    this.#drop();
    const failures = this.#failures++;
    if (wasAnswered) {
      this.#become("off");
      this.#retryAfter(FIRST_PAUSE_MS);
      return;
    }
    // A refused handshake tells a page no status: whether the server could let somebody in is asked another way.
    // One that is going down is ready a moment longer than it lets anybody in: whoever was in asks twice.
    const spared = this.#wasOpen ? 2 : 0;
    const isFull = (await isReady()) && failures >= spared;
    if (this.#socket || this.#state === "asleep") return;
    this.#become(isFull ? "full" : "off");
    if (isFull) this.#retryAfter(Math.min(LONGEST_FULL_PAUSE_MS, FULL_PAUSE_MS * 2 ** (failures - spared)));
    else this.#retryAfter(Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures));
  }

  /** Between half of `pause` and all of it, so that the viewers of a server that comes back do not come at once. */
  #retryAfter(pause) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.open(), pause * (0.5 + Math.random() / 2));
  }

  #retryNow() {
    if (!this.#socket && !document.hidden) this.open();
  }

  #noticeLooks() {
    clearTimeout(this.#bedtime);
    if (document.hidden) this.#bedtime = setTimeout(() => this.#sleep(), SLEEPS_AFTER_MS);
    else this.#retryNow();
  }

  #sleep() {
    this.#drop();
    clearTimeout(this.#timer);
    this.#become("asleep");
  }

  #drop() {
    clearTimeout(this.#watchdog);
    const socket = this.#socket;
    this.#socket = null; // so that its own `close` says nothing any more
    socket?.close();
  }

  #watch() {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#lose(this.#state === "on"), SILENCE_MS);
  }

  #become(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.#tell("state", state);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

async function isReady() {
  try {
    return (await fetch("/readyz", { cache: "no-store", signal: AbortSignal.timeout(SILENCE_MS) })).ok;
  } catch {
    return false;
  }
}
