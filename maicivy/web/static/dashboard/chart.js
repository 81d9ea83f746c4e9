/**
 * What a point of a chart stands for, beside the pointer or the focus. Points are `svg [data-point]` with a `<title>`,
 * which keeps telling it to screen readers; arrow keys go from one to the next.
 */

const GAP_PX = 12;
const STEPS = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };

let tooltip = null;
let shownFor = null;
let pointer = "";

/** Listen for the whole document: charts may come and go. */
export function watchCharts() {
  document.addEventListener("pointerover", (over) => hasMoved(over) && show(pointOf(over.target) ?? focusedPoint()));
  document.addEventListener("focusin", ({ target }) => show(pointOf(target)));
  document.addEventListener("focusout", () => show(null));
  document.addEventListener("scroll", hide, { capture: true, passive: true });
  document.addEventListener("keydown", (key) => {
    if (key.key === "Escape") hide();
    else step(key);
  });
}

/** The charts were drawn anew: what the pointer stands on may say something else now. */
export function chartsChanged() {
  if (!shownFor) return;
  const point = shownFor.isConnected ? shownFor : focusedPoint();
  hide();
  show(point);
}

/** What is drawn anew comes under a pointer that lies still, too: whoever uses the keys is not to be taken from there. */
function hasMoved({ screenX, screenY }) {
  const place = `${screenX} ${screenY}`;
  if (place === pointer) return false;
  pointer = place;
  return true;
}

function pointOf(target) {
  return target.closest?.("svg [data-point]") ?? null;
}

function focusedPoint() {
  return document.activeElement ? pointOf(document.activeElement) : null;
}

function step(key) {
  const point = focusedPoint();
  if (!point || key.ctrlKey || key.metaKey || key.altKey) return;
  const points = [...point.closest("svg:not(svg svg)").querySelectorAll("[data-point]")];
  const ends = { Home: points[0], End: points.at(-1) };
  const next = ends[key.key] ?? points[points.indexOf(point) + (STEPS[key.key] ?? NaN)];
  if (!next) return;
  key.preventDefault();
  for (const other of points) if (other.tabIndex === 0 && other !== next) other.setAttribute("tabindex", "-1");
  next.setAttribute("tabindex", "0"); // Tab leaves the chart, and comes back to this point
  next.focus({ preventScroll: true });
}

function show(point) {
  if (!point) {
    hide();
    return;
  }
  const text = textOf(point);
  if (!text) return;
  if (shownFor !== point) shownFor?.removeAttribute("data-active");
  shownFor = point;
  point.setAttribute("data-active", "");
  tooltip ??= made();
  tooltip.textContent = text;
  tooltip.hidden = false;
  place(point.getBoundingClientRect());
}

/** The `<title>` moves to a label, or the browser would show it as well. */
function textOf(point) {
  const title = point.querySelector("title");
  if (title) {
    point.setAttribute("aria-label", title.textContent.trim());
    title.remove();
  }
  return point.getAttribute("aria-label") ?? "";
}

function place(at) {
  const { offsetWidth: width, offsetHeight: height } = tooltip;
  const x = Math.max(4, Math.min(innerWidth - width - 4, at.left + at.width / 2 - width / 2));
  const above = Math.max(at.top, 0) - height - GAP_PX;
  tooltip.style.left = `${Math.round(x)}px`;
  tooltip.style.top = `${Math.round(above > 4 ? above : Math.min(at.bottom + GAP_PX, innerHeight - height - 4))}px`;
}

function hide() {
  if (!shownFor) return;
  shownFor.removeAttribute("data-active");
  shownFor = null;
  tooltip.hidden = true;
}

function made() {
  const element = document.createElement("div");
  element.className = "tooltip";
  element.setAttribute("aria-hidden", "true"); // what it says is the label of the point
  document.body.append(element);
  return element;
}
