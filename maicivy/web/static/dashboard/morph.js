/**
 * Makes what is shown equal to what the server drew anew, changing only what differs. So focus, selection, scrolling,
 * opened `<details>` and half-typed text stay where they are.
 *
 * Children are paired by `id` or `data-key`, those without by their order.
 */

import { count } from "./count.js";

// Filled by scripts, and emptier as drawn; but for a ticker that was drawn without knowing of what came before.
const ALIVE = "[data-ticker], [data-live-state]";
const UNFILLED = "[data-unfilled]";

/**
 * @param {Element} shown
 * @param {Element} drawn what `shown` is to look like; its nodes may be moved away
 * @param {(field: Element) => boolean} mayReset whether a field is to hold what it was drawn with, and no longer what
 *   somebody typed or chose
 */
export function morph(shown, drawn, mayReset = () => false) {
  const focused = document.activeElement;
  const selection = remembered(getSelection());
  merge(shown, drawn, mayReset);
  // Whoever was moved within the document has lost the focus.
  if (focused?.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
  if (selection) restore(selection);
}

function merge(shown, drawn, mayReset) {
  if (shown.nodeType !== Node.ELEMENT_NODE) {
    if (shown.nodeValue !== drawn.nodeValue) shown.nodeValue = drawn.nodeValue;
    return;
  }
  if (shown.isEqualNode(drawn)) {
    adoptValues(shown, drawn, mayReset);
    return;
  }
  if (shown.matches(ALIVE) && drawn.matches(ALIVE) && (!shown.matches(UNFILLED) || drawn.matches(UNFILLED))) return;
  const before = shown.dataset.count;
  mergeAttributes(shown, drawn);
  if (before !== undefined && drawn.dataset.count !== undefined && !drawn.firstElementChild) {
    count(shown, Number(before), Number(drawn.dataset.count), drawn.textContent);
    return;
  }
  mergeChildren(shown, drawn, mayReset);
  adoptValue(shown, drawn, mayReset);
}

/** By name: the nodes of `element.attributes` would be kept for as long as the element is. */
function mergeAttributes(shown, drawn) {
  for (const name of drawn.getAttributeNames()) {
    if (isOfReader(shown, name)) continue;
    const value = drawn.getAttribute(name);
    if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  }
  for (const name of shown.getAttributeNames()) {
    if (!drawn.hasAttribute(name) && !isOfReader(shown, name)) shown.removeAttribute(name);
  }
}

/** What is opened stays open, and what is closed stays closed. */
function isOfReader(element, name) {
  return name === "open" && element.localName === "details";
}

function mergeChildren(shown, drawn, mayReset) {
  const keyed = new Map();
  for (const child of shown.children) {
    const key = keyOf(child);
    if (key) keyed.set(key, child);
  }
  let place = shown.firstChild;
  for (const wanted of [...drawn.childNodes]) {
    const key = keyOf(wanted);
    const found = key ? keyed.get(key) : place && !keyOf(place) && place;
    if (!found || found.nodeName !== wanted.nodeName || found.nodeType !== wanted.nodeType) {
      shown.insertBefore(document.importNode(wanted, true), place);
      continue;
    }
    keyed.delete(key);
    if (found === place) place = place.nextSibling;
    else shown.insertBefore(found, place);
    merge(found, wanted, mayReset);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function keyOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset.key || "" : "";
}

function adoptValues(shown, drawn, mayReset) {
  const fields = "input, option, textarea";
  const own = shown.querySelectorAll(fields);
  drawn.querySelectorAll(fields).forEach((field, place) => adoptValue(own[place], field, mayReset));
  adoptValue(shown, drawn, mayReset);
}

/** The attributes of a field say only what it begins with: what it holds now is set apart. */
function adoptValue(shown, drawn, mayReset) {
  if (!mayReset(shown)) return;
  if (shown.localName === "option") {
    if (shown.selected !== drawn.selected) shown.selected = drawn.selected;
  } else if (shown.localName === "input" || shown.localName === "textarea") {
    if (shown.value !== drawn.value) shown.value = drawn.value;
    if (shown.checked !== drawn.checked) shown.checked = drawn.checked;
  }
}

function remembered(selection) {
  if (!selection || selection.isCollapsed) return null;
  const { anchorNode, anchorOffset, focusNode, focusOffset } = selection;
  return { selection, anchorNode, anchorOffset, focusNode, focusOffset };
}

function restore({ selection, anchorNode, anchorOffset, focusNode, focusOffset }) {
  if (!anchorNode.isConnected || !focusNode.isConnected) return;
  const { anchorNode: node, anchorOffset: offset } = selection;
  if (node === anchorNode && offset === anchorOffset && selection.focusOffset === focusOffset) return;
  selection.setBaseAndExtent(
    anchorNode,
    Math.min(anchorOffset, sizeOf(anchorNode)),
    focusNode,
    Math.min(focusOffset, sizeOf(focusNode)),
  );
}

function sizeOf(node) {
  return node.nodeValue?.length ?? node.childNodes.length;
}
