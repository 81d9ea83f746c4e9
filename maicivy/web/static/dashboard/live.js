/** What a page does with its socket: the state it shows, the number of current visitors, the ticker, the parts. */

import { count, write } from "./count.js";
import { number } from "./locale.js";
import { Socket } from "./socket.js";
import { Ticker } from "./ticker.js";

const GAP_SAID_MS = 6_000;
const POLLS_AFTER_MS = 30_000;

/**
 * Keep the page up to date by the socket that `<body data-socket>` names, if it names one.
 *
 * @param {import("./parts.js").Parts} parts
 * @returns {Socket | null}
 */
export function live(parts) {
  const path = document.body.dataset.socket;
  if (!path) return null;
  const socket = new Socket(path);
  const state = new LiveState();
  const tickers = new WeakMap();
  const tickerOf = (list) => tickers.get(list) ?? tickers.set(list, new Ticker(list)).get(list);

  socket.addEventListener("state", ({ detail }) => state.be(detail));
  socket.addEventListener("stats", ({ detail }) => {
    showCurrent(detail?.current_visitors);
    parts.age();
  });
  socket.addEventListener("event", ({ detail }) => {
    for (const list of document.querySelectorAll("[data-ticker]")) tickerOf(list).add(detail);
    parts.touch();
  });
  socket.addEventListener("gap", () => {
    state.mention("gap");
    parts.doubt();
  });
  socket.addEventListener("resumed", () => parts.doubt());
  // While there is no place among the viewers, or no way for a WebSocket, the page is still right, only later.
  setInterval(() => ["full", "off"].includes(socket.state) && parts.doubt(), POLLS_AFTER_MS);
  socket.open();
  return socket;
}

/** `[data-live-state]`: its text is that of its attribute `data-live-on`, `-off`, `-full`, `-gap` or `-connecting`. */
class LiveState {
  #state = "";
  #timer = 0;

  be(state) {
    this.#state = state;
    clearTimeout(this.#timer);
    this.#say(state);
  }

  /** Say something for a moment. */
  mention(what) {
    clearTimeout(this.#timer);
    this.#say(what);
    this.#timer = setTimeout(() => this.#say(this.#state), GAP_SAID_MS);
  }

  #say(what) {
    for (const place of document.querySelectorAll("[data-live-state]")) {
      place.dataset.liveState = what;
      const text = place.getAttribute(`data-live-${what}`) ?? (what === "full" ? place.dataset.liveOff : undefined);
      const words = place.querySelector("[data-live-text]") ?? place;
      if (text !== undefined) write(words, text);
    }
  }
}

/** `[data-current]` is the number; `[data-one]`, beside it, is worded by it with `data-one` and `data-other`. */
function showCurrent(visitors) {
  if (!Number.isInteger(visitors)) return;
  for (const place of document.querySelectorAll("[data-current]")) {
    const before = Number(place.dataset.current || NaN);
    place.dataset.current = visitors;
    count(place, before, visitors, number(visitors));
  }
  const kind = new Intl.PluralRules(document.documentElement.lang || "en").select(visitors);
  for (const words of document.querySelectorAll("[data-one][data-other]")) {
    write(words, kind === "one" ? words.dataset.one : words.dataset.other);
  }
}
