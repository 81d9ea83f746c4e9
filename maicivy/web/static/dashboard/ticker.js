/**
 * The list of what happens right now, latest first: never longer than it was made for, and still while somebody reads it.
 *
 * A row is a copy of `<template data-ticker-row>` with text put into its `data-slot`s (`type`, `page`, `at`, `country`,
 * `device`); a slot that nothing is known for is left out. Whatever an event says is text, and never markup.
 */

import { country, timeOfDay } from "./locale.js";

const ROWS = 30;
const CHARS = 200;
const TOGETHER_MS = 250; // a storm of events is drawn four times a second, not a thousand

export class Ticker {
  #list;
  #template;
  #most;
  #types;
  #waiting = [];
  #timer = 0;
  #reasons = new Set();

  /** @param {HTMLElement} list `data-ticker`: rows at most; `data-types`: JSON of words for types of events */
  constructor(list) {
    this.#list = list;
    this.#template = list.querySelector("template[data-ticker-row]") ?? document.querySelector("template[data-ticker-row]");
    this.#most = Number(list.dataset.ticker) || ROWS;
    this.#types = wordsIn(list.dataset.types);
    const holds = { mouseenter: "mouse", focusin: "focus" };
    const lets = { mouseleave: "mouse", focusout: "focus" };
    for (const [type, reason] of Object.entries(holds)) list.addEventListener(type, () => this.#hold(reason));
    for (const [type, reason] of Object.entries(lets)) list.addEventListener(type, () => this.#let(reason));
  }

  /** An event as it was announced. */
  add(event) {
    this.#waiting.push(event);
    if (this.#waiting.length > this.#most) this.#waiting.shift();
    this.#plan();
  }

  #hold(reason) {
    this.#reasons.add(reason);
    this.#list.dataset.paused = "";
  }

  #let(reason) {
    this.#reasons.delete(reason);
    if (this.#reasons.size) return;
    delete this.#list.dataset.paused;
    this.#plan();
  }

  #plan() {
    if (this.#timer || this.#reasons.size || !this.#waiting.length) return;
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      if (!this.#reasons.size) this.#draw();
    }, TOGETHER_MS);
  }

  #draw() {
    const rows = this.#waiting.map((event) => this.#row(event)).reverse();
    this.#waiting.length = 0;
    this.#list.querySelector("[data-ticker-empty]")?.remove();
    this.#list.prepend(...rows);
    const all = [...this.#list.children].filter((child) => child.localName !== "template");
    for (const row of all.slice(this.#most)) row.remove();
  }

  #row(event) {
    const row = this.#template?.content.firstElementChild?.cloneNode(true) ?? plainRow();
    const at = new Date(event.timestamp);
    const isKnown = !Number.isNaN(at.getTime());
    const data = event.data ?? {};
    const said = {
      type: this.#types[event.type] ?? event.type,
      page: pageOf(String(event.page_url ?? "")),
      at: isKnown ? timeOfDay(at) : "",
      country: typeof data.country === "string" ? country(data.country) : "",
      device: data.device,
    };
    for (const slot of row.querySelectorAll("[data-slot]")) {
      const text = cut(said[slot.dataset.slot]);
      slot.textContent = text;
      slot.hidden = !text;
      if (slot.localName === "time" && isKnown) slot.dateTime = at.toISOString();
    }
    row.dataset.new = "";
    return row;
  }
}

function wordsIn(json) {
  try {
    return { __proto__: null, ...JSON.parse(json) };
  } catch {
    return { __proto__: null };
  }
}

function cut(value) {
  const text = typeof value === "string" ? value : "";
  const chars = [...text.slice(0, 2 * CHARS)];
  return chars.length > CHARS ? `${chars.slice(0, CHARS).join("")}…` : text;
}

// Path and query: the hook tells no host, the tracker does, and both mean the same page. extras.py does the same.
function pageOf(url) {
  return url.replace(/^https?:\/\/[^/?]*/i, "") || (url && "/");
}

function plainRow() {
  const row = document.createElement("li");
  for (const [slot, element] of Object.entries({ at: "time", type: "span", page: "bdi" })) {
    const child = document.createElement(element);
    child.dataset.slot = slot;
    row.append(child, " ");
  }
  return row;
}
