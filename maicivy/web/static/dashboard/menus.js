/**
 * Small things: `details[data-menu]` close like menus, what `.how` says goes away with Escape (`html[data-quiet]`),
 * `button[data-copy]` copies, `input[data-zones]` proposes.
 */

const SAID_MS = 2_000;

/** Menus close with Escape, with a click elsewhere, and when the focus goes on. */
export function watchMenus() {
  const closeOthers = ({ target }) => {
    for (const menu of document.querySelectorAll("details[data-menu][open]")) {
      if (!menu.contains(target)) menu.open = false;
    }
  };
  document.addEventListener("click", closeOthers);
  document.addEventListener("focusin", closeOthers);
  document.addEventListener("keydown", (key) => {
    const menu = key.key === "Escape" && document.activeElement?.closest("details[data-menu][open]");
    if (!menu) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}

/** What covers other things goes away with Escape, until somebody comes back: WCAG 2.1, 1.4.13. */
export function watchTips() {
  const { dataset } = document.documentElement;
  document.addEventListener("keydown", ({ key }) => {
    if (key === "Escape") dataset.quiet = "";
  });
  document.addEventListener("focusin", () => delete dataset.quiet);
  document.addEventListener("pointerover", ({ target }) => target.closest(".how") || delete dataset.quiet);
}

/** `data-copy` is the id of what is copied; `data-copied` what the button says then. Shown only with this module. */
export function watchCopyButtons() {
  for (const button of document.querySelectorAll("button[data-copy][hidden]")) button.hidden = false;
  document.addEventListener("click", async ({ target }) => {
    const button = target.closest?.("button[data-copy]");
    const source = button && document.getElementById(button.dataset.copy);
    if (!source || button.dataset.said) return;
    if (!(await copied(source))) return;
    button.dataset.said = button.textContent;
    button.textContent = button.dataset.copied || "✓";
    setTimeout(() => {
      button.textContent = button.dataset.said;
      delete button.dataset.said;
    }, SAID_MS);
  });
}

/** The `<datalist>` of time zones is filled when somebody begins to choose one. */
export function watchZones() {
  document.addEventListener("focusin", ({ target }) => {
    if (!target.matches?.("input[data-zones]") || !target.list || target.list.options.length) return;
    for (const zone of Intl.supportedValuesOf?.("timeZone") ?? []) target.list.append(new Option(zone));
  });
}

async function copied(source) {
  try {
    await navigator.clipboard.writeText(source.textContent.trim());
    return true;
  } catch {
    getSelection().selectAllChildren(source); // pages without https have no clipboard: Ctrl+C is left to the reader
    return false;
  }
}
