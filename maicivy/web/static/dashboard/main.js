/**
 * What makes the dashboard alive. The server draws everything, and without these modules every link and form works.
 *
 * Hooks in the markup:
 * - `<html lang data-locale>`: how words, and how numbers and times, are written; `[data-timezone]`: the zone of times
 * - `<body data-page data-socket>`: which kind of page, and the path of its WebSocket
 * - `[data-part=NAME]`: asked for again, by `?parts=NAME,…`, when it may have changed; within `[data-past]`, a range that
 *   is over, only when nobody knows what happened. `[data-stale]` is set while an answer is missing. While there is a
 *   `[data-renew]`, as on the page of a site without events, the whole page is asked for instead
 *   `[data-part][data-fed]` is kept up to date by events, and not asked for; `[data-ticker][data-unfilled]`: its rows are
 *   not known, and it is asked for until they are
 * - `[data-key]`: tells rows of a part from each other; `[data-count=1234]`: a number that moves to its new value
 * - `[data-current]`: the number of current visitors; `[data-live-state]` and `[data-ticker]`: see `live.js`, `ticker.js`
 * - `a[data-nav]`, `form[data-nav]`, `form[data-auto]`: another view of this page, see `navigate.js`; `html[data-loading]` meanwhile;
 *   `#ID[data-follows]`: outside `<main>`, and drawn by each view in its own way
 * - `a[data-details]`: opens in a dialog, see `details.js`; `[data-close]` in it closes it
 * - `svg [data-point]`: see `chart.js`; `details[data-menu]`, `.how`, `button[data-copy]`: see `menus.js`
 */

import { chartsChanged, watchCharts } from "./chart.js";
import { DetailsDialog } from "./details.js";
import { live } from "./live.js";
import { watchCopyButtons, watchMenus, watchTips, watchZones } from "./menus.js";
import { Navigation } from "./navigate.js";
import { Parts } from "./parts.js";

const navigation = new Navigation();
const parts = new Parts({ address: () => navigation.home });

navigation.addEventListener("leave", () => parts.cancel());
navigation.addEventListener("arrive", () => {
  parts.adopt();
  chartsChanged();
});
parts.addEventListener("shown", chartsChanged);
parts.addEventListener("renew", async () => {
  if (document.querySelector("dialog[open]")) return;
  await navigation.go(navigation.home, { replace: true });
  // Whoever copied the last of the lines to paste is far below the first figures.
  if (!document.querySelector("[data-renew]")) scrollTo(0, 0);
});

new DetailsDialog(navigation);
watchCharts();
watchMenus();
watchTips();
watchCopyButtons();
watchZones();
live(parts);
