/**
 * Links and forms that lead to another view of the same page, without loading it anew: `a[data-nav]` and
 * `form[data-nav]`, and `form[data-auto]`, which sends itself when something in it changes. Whatever goes wrong is left
 * to the browser, which then goes there in its own way; but where no server is there to answer the page stays, marked
 * with `data-stale`, for the browser's way would end on a page of its own.
 */

import { morph } from "./morph.js";

const PATIENCE_MS = 20_000;
const TYPED_MS = 300;

export class Navigation extends EventTarget {
  #going = null;
  #typing = 0;
  #home = location.href;

  /** Dispatches `leave` before another view is asked for, `arrive` when it is shown, and `return`, which can be
   * prevented, when the browser went back or forward. */
  constructor() {
    super();
    history.scrollRestoration = "manual";
    if (history.state?.scroll) scrollTo(0, history.state.scroll); // loaded anew where one was
    document.addEventListener("click", (click) => this.#follow(click));
    document.addEventListener("submit", (submit) => this.#send(submit));
    document.addEventListener("change", ({ target }) => this.#notice(target));
    document.addEventListener("input", ({ target }) => target.type === "search" && this.#notice(target, TYPED_MS));
    addEventListener("popstate", () => this.#return());
    addEventListener("pagehide", () => keepScroll());
    addEventListener("scrollend", () => keepScroll());
  }

  /**
   * Show the view of `url`.
   * @param {URL | string} url
   * @param {{replace?: boolean, submitted?: boolean}} how `replace`: instead of this view, not after it;
   *   `submitted`: a form has been sent, so that its fields are to be as drawn
   */
  async go(url, { replace = false, submitted = false } = {}) {
    keepScroll();
    const came = await this.#show(url, submitted, { stays: true });
    if (!came) return;
    if (replace || came.url === location.href) history.replaceState({}, "", came.url);
    else history.pushState({}, "", came.url);
    this.#home = location.href;
    this.dispatchEvent(new Event("arrive"));
  }

  /** Nobody wants what was asked for any more. */
  stay() {
    this.#going?.abort();
    this.#going = null;
    delete document.documentElement.dataset.loading;
  }

  /** The address of the view that is shown, even while a dialog over it has another. */
  get home() {
    return this.#home;
  }

  async #return() {
    const { scroll } = history.state ?? {};
    const isOurs = this.dispatchEvent(new Event("return", { cancelable: true }));
    if (!isOurs) return;
    if (withoutHash(location.href) === withoutHash(this.#home)) {
      this.stay();
      return;
    }
    const came = await this.#show(location.href, true);
    if (!came) return;
    this.#home = location.href;
    scrollTo(0, scroll ?? 0);
    this.dispatchEvent(new Event("arrive"));
  }

  /** @returns {Promise<{url: string} | null>} null: something else was asked for meanwhile, or the browser goes there */
  async #show(url, submitted, { stays = false } = {}) {
    this.#going?.abort();
    const going = new AbortController();
    this.#going = going;
    this.dispatchEvent(new Event("leave"));
    document.documentElement.dataset.loading = "";
    let came;
    try {
      came = await loaded(url, going);
      if (this.#going !== going) return null;
      adopt(came.page, submitted);
      return came;
    } catch (error) {
      if (this.#going !== going) return null;
      // `fetch` fails with a TypeError where nobody answers.
      if (stays && !came && error instanceof TypeError) markStale();
      else location.assign(url);
      return null;
    } finally {
      if (this.#going === going) {
        this.#going = null;
        delete document.documentElement.dataset.loading;
      }
    }
  }

  #follow(click) {
    const link = click.target.closest?.("a[data-nav]");
    if (!link || !isPlain(click) || click.defaultPrevented) return;
    const url = new URL(link.getAttribute("href"), location.href); // countries are links of SVG, whose href is no text
    if (url.origin !== location.origin) return;
    click.preventDefault();
    this.go(url.href);
  }

  #send(submit) {
    const form = submit.target;
    if (!isOurs(form) || submit.defaultPrevented) return;
    submit.preventDefault();
    clearTimeout(this.#typing);
    this.go(urlOf(form, submit.submitter), { submitted: true });
  }

  #notice(field, pause = 0) {
    const { form } = field;
    if (!form || !isOurs(form) || !("auto" in form.dataset) || !form.checkValidity()) return;
    if ((field.type === "search") !== (pause > 0)) return; // those are sent while one types
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => this.go(urlOf(form), { replace: pause > 0 }), pause);
  }
}

/**
 * The page at `url`.
 * @param {AbortController} going
 * @returns {Promise<{url: string, page: Document}>}
 */
export async function loaded(url, going) {
  const patience = setTimeout(() => going.abort(), PATIENCE_MS);
  try {
    const response = await fetch(url, { signal: going.signal, headers: { Accept: "text/html" } });
    const type = response.headers.get("Content-Type") ?? "";
    if (!response.ok || !type.startsWith("text/html")) throw new Error(String(response.status));
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    return { url: response.url + new URL(url, location.href).hash, page };
  } finally {
    clearTimeout(patience);
  }
}

/** A click that the browser would follow in this tab. */
export function isPlain(click) {
  return click.button === 0 && !click.metaKey && !click.ctrlKey && !click.shiftKey && !click.altKey;
}

/** Where a form leads; what is empty is left out. */
export function urlOf(form, submitter = null) {
  const url = new URL(form.action);
  const fields = [...new FormData(form, submitter)].filter(([, value]) => value !== "");
  // As the server writes its own links, so that equal views have equal addresses.
  const encoded = new URLSearchParams(fields).toString().replaceAll("+", "%20");
  url.search = encoded.replace(/%(2C|2F|3A)/g, decodeURIComponent);
  return url;
}

function markStale() {
  for (const part of document.querySelectorAll("[data-part]")) part.dataset.stale = "";
}

function isOurs(form) {
  return ("auto" in form.dataset || "nav" in form.dataset) && form.method === "get" && !form.closest("dialog");
}

function adopt(page, submitted) {
  const here = document.body.dataset;
  const there = page.body.dataset;
  const fresh = page.querySelector("main");
  if (!fresh || here.page !== there.page || here.socket !== there.socket || scriptOf(document) !== scriptOf(page)) {
    throw new Error("another page, or another version of it");
  }
  const { activeElement } = document;
  const mark = markOf(activeElement);
  document.title = page.title;
  Object.assign(document.documentElement, { lang: page.documentElement.lang });
  morph(document.querySelector("main"), fresh, (field) => submitted || field !== activeElement);
  for (const place of document.querySelectorAll("[data-follows]")) {
    const drawn = page.getElementById(place.id);
    if (drawn) morph(place, drawn);
  }
  refocus(activeElement, mark);
}

/** The focus goes to what is now where it was; a menu that was chosen from is closed. */
function refocus(before, mark) {
  const menu = before.closest("details[data-menu]");
  if (menu?.isConnected) {
    menu.open = false;
    menu.querySelector("summary").focus({ preventScroll: true });
  } else if (!before.isConnected) {
    const main = document.querySelector("main");
    if (!main.hasAttribute("tabindex")) main.tabIndex = -1;
    (find(mark) ?? main).focus({ preventScroll: true });
  }
}

function markOf(element) {
  return { key: element.dataset?.key ?? element.closest("[data-key]")?.dataset.key, part: partOf(element) };
}

function find({ key, part }) {
  const within = document.querySelector(`[data-part="${CSS.escape(part ?? "")}"]`);
  if (!within) return null;
  const row = key === undefined ? null : within.querySelector(`[data-key="${CSS.escape(key)}"]`);
  return (row?.matches("a, button") ? row : row?.querySelector("a, button")) ?? within.querySelector("a, button");
}

function partOf(element) {
  return element.closest("[data-part]")?.dataset.part;
}

/** The address of the first module names the version of all of them. */
function scriptOf(page) {
  return page.querySelector("script[type=module][src]")?.getAttribute("src");
}

function withoutHash(url) {
  return url.split("#")[0];
}

function keepScroll() {
  history.replaceState({ ...history.state, scroll: scrollY }, "");
}
