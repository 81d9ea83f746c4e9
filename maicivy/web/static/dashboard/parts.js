/**
 * Asks the server for parts of the page when they may have changed, and shows them.
 *
 * Only parts that somebody can see are asked for, the others when they come into view; seldom enough that answers take
 * a fifth of the time at most. A part whose answer does not come stays as it was and is marked with `data-stale`.
 *
 * Dispatches `shown` with what was answered, and `renew` when a page that has a `[data-renew]` in it, for there was nothing
 * to show, is to be asked for as a whole.
 */

import { morph } from "./morph.js";

const EVERY_MS = 2_000;
const AGES_AFTER_MS = 60_000;
const LONGEST_PAUSE_MS = 120_000;
const GIVES_UP_AFTER_MS = 20_000;
const TOGETHER_MS = 120;

export class Parts extends EventTarget {
  #address;
  #every;
  #changed = new Set();
  #inView = new Set();
  #observer;
  #timer = 0;
  #renewal = 0;
  #renewals = 0;
  #asking = null;
  #asked;
  #took = 0;
  #failures = 0;

  /** @param {{address?: () => string, every?: number}} options `address` of the view that is shown; `every`: the shortest
   *   time between two questions, in ms */
  constructor({ address = () => location.href, every = EVERY_MS } = {}) {
    super();
    this.#address = address;
    this.#every = every;
    this.#asked = performance.now() - every; // the page has just been drawn
    this.#observer = new IntersectionObserver((entries) => this.#see(entries), { rootMargin: "100px" });
    document.addEventListener("visibilitychange", () => this.#plan());
    this.adopt();
  }

  /** The page has other parts than before. */
  adopt() {
    this.cancel();
    this.#observer.disconnect();
    this.#inView.clear();
    for (const part of partsOf(document)) this.#observer.observe(part);
  }

  /** Something happened: what is shown of the present is no longer true. */
  touch() {
    if (document.querySelector("[data-renew]")) this.#renew();
    for (const part of partsOf(document)) {
      if (!part.closest("[data-past]") || part.querySelector(".problem")) this.#changed.add(part.dataset.part);
    }
    this.#plan();
  }

  /** The first event of a view that had none: it has other parts now. */
  #renew() {
    if (this.#renewal) return;
    const state = document.querySelector("[data-new-state]");
    if (state) state.textContent = state.dataset.arrived;
    // A view may stay empty whatever happens, because of its filters: whole pages are asked for less and less often.
    this.#renewal = setTimeout(() => {
      this.#renewal = 0;
      this.#renewals++;
      this.dispatchEvent(new Event("renew"));
    }, Math.min(LONGEST_PAUSE_MS, this.#every * (0.1 + this.#renewals ** 2)));
  }

  /** Nobody knows what happened: nothing that is shown may be true. */
  doubt() {
    for (const part of partsOf(document)) this.#changed.add(part.dataset.part);
    this.#plan();
  }

  /** Time passes, even when nothing happens: ranges that end now have moved. */
  age() {
    if (performance.now() - this.#asked > AGES_AFTER_MS) this.touch();
  }

  /** Forget what was asked: it is about a page that is shown no more. */
  cancel() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#asking?.abort();
    this.#asking = null;
    this.#changed.clear();
  }

  #see(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.#inView.add(target);
      else this.#inView.delete(target);
    }
    this.#plan();
  }

  #wanted() {
    const seen = [...this.#inView].filter((part) => part.isConnected).map((part) => part.dataset.part);
    return [...new Set(seen)].filter((name) => this.#changed.has(name));
  }

  #plan() {
    if (this.#timer || this.#asking || document.hidden || !this.#wanted().length) return;
    const pause = Math.min(LONGEST_PAUSE_MS, Math.max(this.#every, 4 * this.#took) * 2 ** this.#failures);
    const due = Math.max(TOGETHER_MS, this.#asked + pause - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      this.#ask(this.#wanted());
    }, due);
  }

  async #ask(names) {
    if (!names.length || document.hidden) return;
    const asking = new AbortController();
    const patience = setTimeout(() => asking.abort(), GIVES_UP_AFTER_MS);
    this.#asking = asking;
    this.#asked = performance.now();
    for (const name of names) this.#changed.delete(name);
    try {
      const drawn = await answered(urlOf(this.#address(), names), asking.signal);
      if (this.#asking !== asking) return;
      this.#show(names, drawn);
      this.#failures = 0;
    } catch (error) {
      if (this.#asking !== asking) return; // the page is another one now
      if (error instanceof Locked) location.reload();
      this.#failures = Math.min(this.#failures + 1, 10);
      for (const name of names) {
        this.#changed.add(name);
        named(document, name)?.setAttribute("data-stale", "");
      }
    } finally {
      clearTimeout(patience);
      if (this.#asking === asking) {
        this.#took = performance.now() - this.#asked;
        this.#asking = null;
        this.#plan();
      }
    }
  }

  #show(names, drawn) {
    const came = names.filter((name) => named(drawn, name));
    if (!came.length) throw new Error("none of the parts");
    for (const name of came) morph(named(document, name), named(drawn, name));
    this.dispatchEvent(new CustomEvent("shown", { detail: drawn }));
  }
}

/** Without those that need not be asked for: events alone keep them up to date. */
function partsOf(root) {
  return root.querySelectorAll("[data-part]:not([data-fed])");
}

function named(root, name) {
  return root.querySelector(`[data-part="${CSS.escape(name)}"]`);
}

function urlOf(address, names) {
  const url = new URL(address);
  url.hash = "";
  url.search += `${url.search ? "&" : "?"}parts=${names.join(",")}`;
  return url;
}

/** The site is not for this reader any more: the page as a whole says so, and how it can be opened. */
class Locked extends Error {}

async function answered(url, signal) {
  const response = await fetch(url, { signal, headers: { Accept: "text/html" } });
  if ([401, 403].includes(response.status)) throw new Locked();
  if (!response.ok) throw new Error(String(response.status));
  const template = document.createElement("template");
  template.innerHTML = await response.text();
  return template.content;
}
