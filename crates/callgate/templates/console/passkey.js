// Asks the browser for a passkey before a form is sent that wants one. Without it nothing is lost but that.
(() => {
  'use strict';
  const state = document.createElement('p');
  state.className = 'problem';
  state.setAttribute('role', 'alert');

  const bytes = (text) => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (letter) => letter.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  const known = (list) => (list ?? []).map((one) => ({ ...one, id: bytes(one.id) }));

  async function prove({ state: sealed, options }) {
    const publicKey = options.publicKey;
    const found = await navigator.credentials.get({ publicKey: {
      ...publicKey, challenge: bytes(publicKey.challenge), allowCredentials: known(publicKey.allowCredentials),
    } });
    const { authenticatorData, clientDataJSON, signature, userHandle } = found.response;
    return JSON.stringify({ state: sealed, credential: {
      id: found.id, rawId: text(found.rawId), type: found.type, extensions: {},
      response: {
        authenticatorData: text(authenticatorData), clientDataJSON: text(clientDataJSON), signature: text(signature),
        userHandle: userHandle ? text(userHandle) : null,
      },
    } });
  }

  async function make({ state: sealed, options }) {
    const publicKey = options.publicKey;
    const made = await navigator.credentials.create({ publicKey: {
      ...publicKey, challenge: bytes(publicKey.challenge), user: { ...publicKey.user, id: bytes(publicKey.user.id) },
      excludeCredentials: known(publicKey.excludeCredentials),
    } });
    return JSON.stringify({ state: sealed, credential: {
      id: made.id, rawId: text(made.rawId), type: made.type, extensions: {},
      response: { attestationObject: text(made.response.attestationObject), clientDataJSON: text(made.response.clientDataJSON) },
    } });
  }

  async function ask(form, button) {
    const sent = new URLSearchParams({ csrf: form.elements.csrf.value });
    for (const name of form.dataset.sends?.split(' ') ?? []) sent.set(name, form.elements[name].value);
    if (button.name) sent.set(button.name, button.value);
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const response = await fetch(form.dataset.passkey, { method: 'POST', headers, body: sent });
    if (!response.ok) {
      const page = new DOMParser().parseFromString(await response.text(), 'text/html');
      throw new Error(page.querySelector('main p')?.textContent ?? 'The gateway does not answer.');
    }
    return response.json();
  }

  let sending = false;
  addEventListener('submit', async (event) => {
    const [form, button] = [event.target, event.submitter];
    if (sending || !form.dataset.passkey || button?.value === 'deny') return;
    event.preventDefault();
    try {
      const told = await ask(form, button);
      if (told.make) {
        form.elements.proof.value = told.prove ? await prove(told.prove) : '';
        form.elements.made.value = await make(told.make);
      } else {
        form.elements.proof.value = await prove(told);
      }
      sending = true;
      form.requestSubmit(button);
    } catch (error) {
      state.textContent = error instanceof DOMException ? 'No passkey was used. Nothing was done.' : error.message;
      form.before(state);
    }
  });
})();
