/**
 * The screen on a wall: nobody sits at it, so it has to stay right for weeks by itself. Every list on it is bounded, one
 * timer drives the clock, and after an upgrade of the server the page loads itself anew.
 *
 * Hooks beside those of `live.js` and `parts.js`: `<body data-version>` and the same in each answer; `[data-clock]`;
 * `button[data-fullscreen]` with its words in `data-on` (while it is) and `data-off`.
 */

import { write } from "./count.js";
import { live } from "./live.js";
import { timeOfDay } from "./locale.js";
import { Parts } from "./parts.js";

const EVERY_MS = 3_000;
const RELOADS_AFTER_MS = 60_000; // servers of two versions side by side are no reason to load again and again
const IDLE_MS = 4_000;

const parts = new Parts({ every: EVERY_MS });
parts.addEventListener("shown", ({ detail }) => {
  const version = detail.querySelector("[data-version]")?.dataset.version;
  if (version && version !== document.body.dataset.version && performance.now() > RELOADS_AFTER_MS) location.reload();
});
live(parts);
runClock();
offerFullScreen();

function runClock() {
  const clock = document.querySelector("[data-clock]");
  const tick = () => {
    write(clock, timeOfDay(new Date()));
    setTimeout(tick, 1_000 - (Date.now() % 1_000));
  };
  tick();
}

function offerFullScreen() {
  const button = document.querySelector("button[data-fullscreen]");
  if (!document.fullscreenEnabled) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else document.documentElement.requestFullscreen().catch(() => {});
  });
  document.addEventListener("fullscreenchange", () => {
    const isFull = Boolean(document.fullscreenElement);
    button.textContent = isFull ? button.dataset.on : button.dataset.off;
    document.documentElement.classList.toggle("is-full", isFull);
    if (isFull) stayAwake();
  });
  hideWhenIdle();
}

/** The pointer and the button go out of the way of a full screen. */
function hideWhenIdle() {
  const { classList } = document.documentElement;
  let timer = 0;
  const move = () => {
    classList.remove("is-idle");
    clearTimeout(timer);
    timer = setTimeout(() => classList.add("is-idle"), IDLE_MS);
  };
  for (const type of ["pointermove", "keydown", "focusin"]) addEventListener(type, move, { passive: true });
  move();
}

/** Without a screen saver, where browsers let pages ask for that; it ends when the tab is hidden. */
async function stayAwake() {
  try {
    await navigator.wakeLock.request("screen");
  } catch {
    // not over http, not in every browser, not on a low battery: the screen's own settings decide
  }
}
