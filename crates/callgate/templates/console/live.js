// Keeps the part of a page fresh that is marked for it: when the stream says that something has changed, the page is asked for again,
// as a person would, and that part is put in place of the old one. Nothing depends on it.
(() => {
  'use strict';
  const part = document.getElementById('live');
  if (!part) return;
  // Nobody is there any more: then the session is to end by itself.
  const IDLE_MS = 20 * 60 * 1000;
  const AGAIN_MS = 5 * 1000;
  const state = document.createElement('p');
  state.className = 'hint';
  state.setAttribute('role', 'status');
  part.after(state);
  let acted = Date.now();
  let source = null;
  let loading = false;

  const isIdle = () => Date.now() - acted > IDLE_MS;
  const say = (text) => { if (state.textContent !== text) state.textContent = text; };

  // What somebody fills in stays as it is until nobody needs it any more.
  function settle(page) {
    const form = document.getElementById('live-form');
    const fresh = page.getElementById('live-form');
    if (form && !(fresh && fresh.querySelector('form'))) form.replaceChildren(...(fresh?.childNodes ?? []));
  }

  async function load() {
    if (loading) return;
    loading = true;
    try {
      const response = await fetch(location.href);
      // Whoever is let in no more is sent to sign in.
      if (response.redirected || !response.ok) { location.reload(); return; }
      const page = new DOMParser().parseFromString(await response.text(), 'text/html');
      const fresh = page.getElementById('live');
      if (!fresh) { location.reload(); return; }
      const opened = [...part.querySelectorAll('details')].map((one) => one.open);
      const focused = part.contains(document.activeElement) ? document.activeElement.getAttribute('href') : null;
      part.dataset.seen = fresh.dataset.seen;
      part.replaceChildren(...fresh.childNodes);
      part.querySelectorAll('details').forEach((one, at) => { one.open = opened[at] ?? false; });
      settle(page);
      if (focused) [...part.querySelectorAll('a')].find((one) => one.getAttribute('href') === focused)?.focus();
    } catch {
      say('Not live: the gateway does not answer.');
    } finally {
      loading = false;
    }
  }

  function listen() {
    if (isIdle()) { say('Not live: nobody was here for a while.'); source = null; return; }
    const query = new URLSearchParams({ page: part.dataset.page, id: part.dataset.id ?? '', seen: part.dataset.seen });
    source = new EventSource(`/console/live?${query}`);
    source.onopen = () => say('Live.');
    source.onmessage = () => (isIdle() ? stop() : load());
    source.onerror = () => { stop(); say('Not live: it is tried again.'); setTimeout(listen, AGAIN_MS); };
  }

  function stop() {
    source?.close();
    source = null;
  }

  for (const kind of ['pointerdown', 'keydown', 'focus']) {
    addEventListener(kind, () => {
      const wasIdle = isIdle();
      acted = Date.now();
      if (wasIdle) { stop(); load(); listen(); }
    }, { capture: true, passive: true });
  }
  setInterval(() => { if (source && isIdle()) { stop(); say('Not live: nobody was here for a while.'); } }, 60 * 1000);
  listen();
})();
