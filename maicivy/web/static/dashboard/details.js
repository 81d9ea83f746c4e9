/**
 * A panel in full, in a `<dialog>` over the page: what `a[data-details]` leads to. It has its own address, so that it can
 * be linked and the back button closes it; search, sorting and paging stay within it, and a row leads back to the page.
 */

import { isPlain, loaded, urlOf } from "./navigate.js";
import { morph } from "./morph.js";

const TYPED_MS = 250;

export class DetailsDialog {
  #navigation;
  #dialog = null;
  #loading = null;
  #typing = 0;

  /** @param {import("./navigate.js").Navigation} navigation */
  constructor(navigation) {
    this.#navigation = navigation;
    document.addEventListener("click", (click) => this.#follow(click), { capture: true });
    navigation.addEventListener("return", (back) => this.#return(back));
  }

  #follow(click) {
    const link = click.target.closest?.("a[data-details], dialog[data-dialog] a[data-nav]");
    if (!link || !isPlain(click) || link.origin !== location.origin) return;
    click.preventDefault();
    if ("details" in link.dataset || isDetails(link)) {
      this.#load(link.href);
    } else {
      this.#close();
      this.#navigation.go(link.href, { replace: true });
    }
  }

  #return(back) {
    if (isDetails(location) && document.body.dataset.page !== "details") {
      back.preventDefault();
      this.#load(location.href);
    } else {
      this.#close();
    }
  }

  async #load(url) {
    this.#navigation.stay();
    this.#loading?.abort();
    const loading = new AbortController();
    this.#loading = loading;
    document.documentElement.dataset.loading = "";
    try {
      const { url: address, page } = await loaded(url, loading);
      if (this.#loading !== loading) return;
      const main = page.querySelector("main");
      if (!main) throw new Error("no page");
      // One entry of the history, however much is searched in it.
      if (isDetails(location)) history.replaceState(history.state, "", address);
      else history.pushState({}, "", address);
      this.#show(main);
    } catch {
      if (this.#loading === loading) location.assign(url);
    } finally {
      if (this.#loading === loading) {
        this.#loading = null;
        delete document.documentElement.dataset.loading;
      }
    }
  }

  #show(main) {
    const content = document.createElement("div");
    content.append(...main.childNodes);
    if (this.#dialog) {
      morph(this.#dialog.firstElementChild, content);
      for (const region of this.#dialog.querySelectorAll("[role=region]")) region.scrollTop = 0;
    } else {
      this.#open(content);
    }
    const heading = this.#dialog.querySelector("h1, h2");
    if (heading) this.#dialog.setAttribute("aria-label", heading.textContent.trim());
  }

  #open(content) {
    const dialog = document.createElement("dialog");
    dialog.dataset.dialog = "";
    dialog.className = "details-dialog";
    dialog.append(content);
    dialog.addEventListener("cancel", (cancel) => {
      cancel.preventDefault();
      this.#leave();
    });
    dialog.addEventListener("click", (click) => {
      if (click.target === dialog || click.target.closest("[data-close]")) {
        click.preventDefault();
        this.#leave();
      }
    });
    dialog.addEventListener("submit", (submit) => {
      submit.preventDefault();
      clearTimeout(this.#typing);
      this.#load(urlOf(submit.target, submit.submitter));
    });
    dialog.addEventListener("input", ({ target: { form } }) => {
      if (!form || !("auto" in form.dataset)) return;
      clearTimeout(this.#typing);
      this.#typing = setTimeout(() => this.#load(urlOf(form)), TYPED_MS);
    });
    document.body.append(dialog);
    this.#dialog = dialog;
    dialog.showModal();
  }

  /** Back to the page below and to its address, which is always the one before. */
  #leave() {
    this.#close();
    history.back();
  }

  #close() {
    clearTimeout(this.#typing);
    this.#loading?.abort();
    this.#loading = null;
    delete document.documentElement.dataset.loading;
    this.#dialog?.close(); // gives the focus back to where it was
    this.#dialog?.remove();
    this.#dialog = null;
  }
}

function isDetails({ pathname }) {
  return /\/details\/[^/]+$/.test(pathname);
}
