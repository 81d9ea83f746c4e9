// The live page. Views are recorded by the server, clicks by maicivy's own script; the pages work without either.
"use strict";

const api = "/api/v1/analytics";

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

const live = document.querySelector("[data-live]");
if (live) follow(live);

function follow(live) {
  const state = live.querySelector("[data-state]");
  const feed = live.querySelector("[data-feed]");
  let pause = 500;

  function say(text, on) {
    state.textContent = text;
    state.classList.toggle("on", on);
  }

  function show(stats) {
    for (const place of live.querySelectorAll("[data-stat]")) {
      place.textContent = Number(stats[place.dataset.stat] ?? 0).toLocaleString("en");
    }
  }

  function add(event, isNew) {
    if (event.type === "click") return; // what was clicked is told by itself
    feed.querySelector(".empty")?.remove();
    const item = document.createElement("li");
    item.classList.toggle("new", isNew);
    const dot = document.createElement("i");
    dot.title = "visitor " + event.visitor_id.slice(-6);
    dot.style.background = `hsl(${parseInt(event.visitor_id.slice(-4), 16) % 360} 55% 52%)`;
    const text = document.createElement("span");
    text.append(described(event) + " ");
    const page = document.createElement("code");
    page.textContent = event.page_url.replace(/^https?:\/\/[^/]*/, ""); // a script tells the host, too
    text.append(page);
    const time = document.createElement("time");
    time.dateTime = event.timestamp;
    time.textContent = new Date(event.timestamp).toLocaleTimeString("en", { hour12: false });
    item.append(dot, text, time);
    feed.prepend(item);
    while (feed.children.length > 12) feed.lastElementChild.remove();
  }

  async function rank() {
    const answer = await fetch(api + "/themes?limit=5");
    if (!answer.ok) return;
    const themes = (await answer.json()).data;
    if (!themes.length) return;
    live.querySelector("[data-themes]").replaceChildren(
      ...themes.map(({ theme, views }) => {
        const item = document.createElement("li");
        const bar = document.createElement("i");
        bar.style.width = `${(100 * views) / themes[0].views}%`;
        const name = document.createElement("span");
        name.textContent = theme;
        const count = document.createElement("span");
        count.textContent = views.toLocaleString("en");
        item.append(bar, name, count);
        return item;
      }),
    );
  }

  async function begin() {
    const answer = await fetch(api + "/timeline?limit=8");
    if (!answer.ok) return;
    for (const event of (await answer.json()).data.reverse()) {
      add({ ...event, type: event.event_type, timestamp: event.created_at, data: event.event_data }, false);
    }
  }

  function connect() {
    const socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/ws/analytics");
    socket.onopen = () => {
      pause = 500;
      say("connected", true);
    };
    socket.onmessage = (message) => {
      const event = JSON.parse(message.data);
      if (event.type === "initial_stats" || event.type === "heartbeat") {
        show(event.data);
      } else if (event.visitor_id) {
        add(event, true);
      }
    };
    socket.onclose = () => {
      say("reconnecting", false);
      setTimeout(connect, pause * (0.5 + Math.random()));
      pause = Math.min(pause * 2, 15000);
    };
  }

  const quietly = () => {}; // a number that is not there now will be there at the next turn
  begin().catch(quietly).finally(connect);
  rank().catch(quietly);
  setInterval(() => rank().catch(quietly), 5000);
}

function described(event) {
  const data = event.data ?? {};
  if (event.type === "page_view") return data.theme ? `read the CV as ${data.theme}` : "opened";
  if (event.type === "letter_generated") return `had a letter of ${String(data.type).replace("anti_", "anti-")} written on`;
  if (event.type === "engagement") return `spent ${Math.round((data.engagement_ms ?? 0) / 1000)} s on`;
  if (event.type === "pdf_download") return "saved as PDF";
  if (event.type === "outbound_click") return `left for ${data.host ?? String(data.url).split("/")[2]} from`;
  if (event.type === "form_submit") return "sent the form of";
  if (event.type === "button_click") return `clicked \u201c${data.button}\u201d on`;
  return event.type;
}
