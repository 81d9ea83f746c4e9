/** How numbers, times and names are written: as the server wrote the page. */

const MOST_KEPT = 20;
const made = new Map();

/** A BCP 47 tag: that of the reader's numbers (`<html data-locale>`), else the language of the page. */
export function locale() {
  const { dataset, lang } = document.documentElement;
  return dataset.locale?.replaceAll("_", "-") || lang || "en";
}

/** A whole number. */
export function number(value) {
  return kept("number", "", () => new Intl.NumberFormat(locale())).format(value);
}

/** The time of day, to the second, in the zone of the view. */
export function timeOfDay(date) {
  const zone = document.querySelector("[data-timezone]")?.dataset.timezone;
  const options = { timeStyle: "medium" };
  return kept("time", zone ?? "", () => {
    try {
      return new Intl.DateTimeFormat(locale(), { ...options, timeZone: zone });
    } catch {
      return new Intl.DateTimeFormat(locale(), options); // a zone that this browser has not heard of
    }
  }).format(date);
}

/** The name of a country in the language of the page, or the code itself where it is none. */
export function country(code) {
  if (!/^[A-Za-z]{2}$/.test(code)) return code;
  const { lang } = document.documentElement;
  return kept("country", lang, () => new Intl.DisplayNames(lang || "en", { type: "region" })).of(code.toUpperCase());
}

function kept(kind, about, make) {
  const name = `${kind} ${locale()} ${about}`;
  if (!made.has(name)) {
    if (made.size >= MOST_KEPT) made.clear();
    made.set(name, make());
  }
  return made.get(name);
}
