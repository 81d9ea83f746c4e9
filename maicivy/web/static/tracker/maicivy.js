// maicivy's tracker: tells one maicivy what happens on a page, and never gets in the page's way.
//
//     <script defer src="https://stats.example.org/js/maicivy.js" data-site="MC-XXXXXXXXXX"></script>
//
// docs/tracker.md has the attributes and the events. No cookie, no storage; `maicivy` is the only global. It has to run
// in browsers of 2018 and to fit into 2 KB compressed: nothing newer than ES2018, and nothing either that the minifier
// would turn into something newer (`a = a || b`, a `catch` that leaves the exception alone).
(() => {
  let failure; // the last exception; the page never sees one
  const guarded = (act) => (...call) => {
    try {
      return act(...call);
    } catch (error) {
      failure = error;
    }
  };

  guarded(() => {
    const { src, dataset: options } = document.currentScript;
    const stub = window.maicivy || {};
    if (stub.consent) return; // a second copy would count everything twice

    const target = new URL(options.api || "../api/v1/analytics/event/batch", src).href;
    const files = RegExp(`\\.(${options.downloads || "pdf|(doc|xls|ppt)x?|csv|zip|gz|7z|dmg|exe|apk|mp[34]"})$`, "i");
    const quiet = { interactive: false }; // does not keep a visit from being a bounce

    let calls = stub.q || []; // of maicivy() while nothing may be sent yet
    let allowed = options.consent != "required" || 0; // false: not any more
    let page; // the URL of the page that is looked at; none before it is shown, and that is allowed
    let path; // what tells it from another page
    let referrer;
    let engaged; // milliseconds of it not told yet
    let since; // when the time began that comes on top; 0 while nobody is looking
    let bottom; // the lowest pixel that was seen
    let queue = [];
    let count = 1e3; // four digits, so that ids ascend
    let tries = 0;
    let timer;
    let busy = 0; // one request at a time, so that events come in their order

    // ---- Sending

    // Where storage is forbidden nobody has asked to be ignored.
    const refused = guarded(
      () => navigator.doNotTrack == 1 || navigator.globalPrivacyControl || localStorage.maicivy_ignore,
    );

    // `later` for what may wait until something else is sent, or the page is left.
    function send(type, data, more, later) {
      if (!page || refused() || (options.off || "").split(" ").includes(type) || queue.length > 499) return;
      const random = Math.random().toFixed(14).slice(2);
      queue.push({
        // A UUIDv7 (unique, no secret), made here so that what is sent twice is stored once. Of events of one moment
        // the server takes the one whose last 62 bits are lower for the earlier: they begin with a number that ascends.
        id: "0" + Date.now().toString(16) + 7 + random.slice(11) + 8 + (count++ + random).slice(0, 15),
        site_id: options.site || options.domain || options.websiteId,
        event_type: type,
        event_data: data,
        page_url: page,
        referrer,
        screen_width: screen.width,
        screen_height: screen.height,
        ...more,
      });
      if (!timer && !busy && !(later && queue.length < 9)) flush();
    }

    // All at once only when the page may go: more than 64 KB of it then comes back, and waits for its turn.
    function flush(isLast) {
      timer = clearTimeout(timer); // none
      if (allowed && navigator.onLine) while (queue.length && (isLast || !busy)) post(queue.splice(0, 20));
    }

    // As text/plain, which browsers send without asking the server first. What outlives a page may have 64 KB in all.
    // What a page has put in the place of fetch may throw, or return nothing.
    async function post(events) {
      const body = JSON.stringify(events);
      const now = Date.now() + 1; // after all that has arrived
      busy = 1;
      try {
        const answer = await fetch(target, {
          method: "POST",
          body,
          keepalive: body.length < 2e4,
          credentials: "omit",
        });
        if (answer.status > 428) throw 0;
        await answer.text(); // until then its bytes count among those 64 KB
        tries = busy = 0;
        flush();
      } catch (error) {
        failure = await error; // later: flush() has emptied the queue by then, which is filled again here
        busy = 0;
        // From now on it is this time that counts, no longer that of their arrival.
        for (const event of events) event.timestamp = event.timestamp || now;
        queue = events.concat(queue);
        if (!timer && tries < 8) timer = setTimeout(flush, (500 + 1e3 * Math.random()) << tries++);
      }
    }

    // ---- Pages, and how they are looked at

    function look() {
      const now = performance.now();
      if (since) engaged += now - since;
      since = !document.hidden && document.hasFocus() ? now : 0;
    }

    function scroll() {
      bottom = Math.max(bottom, scrollY + innerHeight);
    }

    function leave() {
      look();
      scroll();
      if (engaged < 99) return;
      const reading = {
        engagement_ms: Math.min(Math.round(engaged), 864e5),
        scroll_depth: Math.min(Math.round((100 * bottom) / document.documentElement.scrollHeight), 100),
      };
      send("engagement", {}, reading, 1);
      engaged = 0;
    }

    // Does nothing while the page is the same. What is being prerendered is hidden, too, and so is a tab that nobody
    // has opened yet: that waits until it is shown.
    function view() {
      // Neither a query behind the hash, nor what sites hand over there to be secret (`#access_token=...`).
      const hash = "hash" in options ? location.hash.split(/[?&=]/)[0] : "";
      const now = (location.pathname + hash).replace(/\/*#!?\/*/, "/");
      if (now == path || !allowed || document.hidden) return;
      leave();
      const is404 = !page && 404 in options;
      path = now;
      referrer = page || document.referrer;
      page = location.origin + path.slice(0, 400) + location.search;
      engaged = bottom = since = 0;
      look();
      send("page_view");
      if (is404) send("not_found", {}, quiet);
      for (const call of calls.splice(0)) track(...call);
    }

    for (const name of ["pushState", "replaceState"]) {
      const original = history[name];
      history[name] = function () {
        const result = original.apply(this, arguments); // its exceptions are the page's own
        guarded(view)();
        return result;
      };
    }

    // ---- What happens on them

    // Takes what is told as it is now; what is no JSON fails here, and keeps no other event back.
    function track(name, data = {}, more) {
      send(name.toLowerCase().replace(/[^a-z0-9_.:-]+/g, "_"), ...JSON.parse(JSON.stringify([data, more])));
    }

    function tag(element) {
      const data = {};
      for (const { name, value } of element.attributes) {
        if (/^data-maicivy-(?!event$)/.test(name)) data[name.slice(13)] = value;
      }
      track(element.dataset.maicivyEvent, data);
    }

    function click({ button, detail, pageX, pageY, target }) {
      if (button > 1) return;
      const cell = (at) => at - (at % 10);
      if (detail) send("click", { x: cell(pageX), y: cell(pageY) }, quiet, 1); // keyboards click, too, but nowhere
      const link = target.closest("a[href]");
      if (link && link.host) {
        const data = { url: link.origin + link.pathname };
        if (files.test(link.pathname) || "download" in link.attributes) send("file_download", data);
        else if (link.host != location.host) send("outbound_click", data);
      }
      const tagged = target.closest("[data-maicivy-event]:not(form)");
      if (tagged) tag(tagged);
    }

    // ---- The global, and what to listen to

    window.maicivy = guarded((...call) => {
      if (page) track(...call);
      else if (allowed !== false) calls.push(call);
    });
    window.maicivy.consent = guarded((allow) => {
      allowed = !!allow;
      if (allowed) return view();
      page = path = "";
      queue = [];
      calls = [];
    });

    const on = (types, act) => {
      for (const type of types.split(" ")) addEventListener(type, guarded(act), true);
    };
    on("click auxclick", click);
    on("submit", ({ target }) => (target.dataset.maicivyEvent ? tag(target) : send("form_submit")));
    on("scroll", scroll);
    on("focus blur", look);
    on("popstate", view);
    on("pageshow", ({ persisted }) => {
      if (persisted) path = "";
      view();
    });
    on("online", () => flush());
    on("visibilitychange pagehide", () => {
      view();
      leave();
      flush(1);
    });
    view();
  })();
})();
