/** Numbers move to their new value instead of jumping, unless the reader wants less motion. */

import { locale } from "./locale.js";

const LASTS_MS = 450;

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const running = new WeakMap();

/** Put `text` into `element`, into the text that is there already: pages that run for weeks make no nodes for it. */
export function write(element, text) {
  const { firstChild, lastChild } = element;
  if (firstChild?.nodeType !== Node.TEXT_NODE || firstChild !== lastChild) element.textContent = text;
  else if (firstChild.nodeValue !== text) firstChild.nodeValue = text;
}

/**
 * Let `element` count from one number to another, and end with exactly `text`.
 *
 * Numbers whose writing is not known here (2.4k, 3m 12s) change at once.
 */
export function count(element, from, to, text) {
  cancelAnimationFrame(running.get(element));
  if (element.textContent === text && !running.has(element)) return;
  const format = new Intl.NumberFormat(locale());
  const isPlain = Number.isInteger(from) && Number.isInteger(to) && format.format(to) === text;
  if (!isPlain || from === to || calm.matches || document.hidden) {
    running.delete(element);
    write(element, text);
    return;
  }
  const began = performance.now();
  const step = (now) => {
    const passed = Math.min(1, Math.max(0, now - began) / LASTS_MS);
    const eased = 1 - (1 - passed) ** 3;
    if (passed === 1) {
      running.delete(element);
      write(element, text);
      return;
    }
    write(element, format.format(Math.round(from + (to - from) * eased)));
    running.set(element, requestAnimationFrame(step));
  };
  running.set(element, requestAnimationFrame(step));
}
