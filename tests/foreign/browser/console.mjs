// People in a browser: the console without scripts, on a wide screen and on a phone, and what axe finds on its pages.
// Arguments: the address, the folder for pictures, and the steps as JSON. Prints what became of each step, as JSON. Without
// arguments, the browser is unpacked and nothing else.
import chromium from '@sparticuz/chromium';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium as playwright } from 'playwright-core';

const [address, pictures, stepsText] = process.argv.slice(2);
const executablePath = await chromium.executablePath();
if (!address) process.exit(0);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const browser = await playwright.launch({
  executablePath,
  // In a container there is nothing to make a sandbox of.
  args: ['--no-sandbox', '--no-zygote', '--disable-gpu', '--disable-dev-shm-usage'],
  headless: true,
});

// A browser of its own for each person.
const people = new Map();

async function of(person) {
  if (!people.has(person)) {
    const context = await browser.newContext({
      javaScriptEnabled: false,
      viewport: { width: 1000, height: 800 },
      baseURL: address,
    });
    const page = await context.newPage();
    page.setDefaultTimeout(10_000);
    const kept = { context, page, callback: undefined };
    page.on('request', (one) => {
      if (one.url().includes('/sign-in/callback')) kept.callback = one.url();
    });
    people.set(person, kept);
  }
  return people.get(person);
}

async function told(page, status) {
  const text = await page.locator('main').innerText();
  return { status, url: new URL(page.url()).pathname, title: await page.title(), text };
}

// What is wrong with the page that somebody sees: in a browser with scripts, since axe is one.
async function checked(person, path, picture) {
  const { context } = await of(person);
  const found = [];
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [1000, 390]) {
      const other = await browser.newContext({
        bypassCSP: true,
        colorScheme,
        viewport: { width, height: 844 },
        baseURL: address,
        storageState: await context.storageState(),
      });
      const page = await other.newPage();
      await page.goto(path);
      await page.addScriptTag({ content: axe });
      const { violations } = await page.evaluate(() => globalThis.axe.run());
      found.push(...violations.map((one) => `${colorScheme} ${width} ${one.impact} ${one.id}`));
      const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      if (wide) found.push(`${colorScheme} ${width} wider than the screen`);
      await page.screenshot({ path: `${pictures}/${picture}-${width}-${colorScheme}.png`, fullPage: true });
      await other.close();
    }
  }
  return { found };
}

const does = {
  async open({ person, path }) {
    const { page } = await of(person);
    const response = await page.goto(path);
    return told(page, response.status());
  },
  async sign_in({ person, token }) {
    const { page } = await of(person);
    await page.goto('/console');
    await page.fill('#token', token);
    const [response] = await Promise.all([page.waitForResponse('**/console/**'), page.click('main button')]);
    await page.waitForLoadState();
    return told(page, response.status());
  },
  // At the issuer, from the page that they want to see; `until` it would send them back, if they are not to arrive.
  async oidc({ person, path, name, until, cancel }) {
    const kept = await of(person);
    const { page, context } = kept;
    await page.goto(path);
    await page.click('a.button');
    await page.waitForURL('**/interaction/**');
    if (cancel) {
      await page.click('text=Cancel');
    } else {
      // The issuer may know them still.
      if ((await page.locator('input[name=login]').count()) > 0) {
        await page.fill('input[name=login]', name);
        await page.fill('input[name=password]', 'any');
        await page.click('button[type=submit]');
        await page.waitForLoadState();
      }
      if (until) {
        let next = await page.locator('form').getAttribute('action');
        let form = { prompt: 'consent' };
        while (!next.startsWith(address)) {
          const sent = await context.request.fetch(next, { method: form ? 'POST' : 'GET', form, maxRedirects: 0 });
          form = undefined;
          next = new URL(sent.headers().location, next).href;
        }
        kept.callback = next;
        return {};
      }
      await page.click('button[type=submit]');
    }
    await page.waitForURL(`${address}/console**`);
    const cookies = (await context.cookies(address)).filter(({ name }) => name.includes('callgate')).map(({ name, httpOnly, sameSite }) => ({ name, httpOnly, sameSite }));
    return { cookies, ...(await told(page, 200)) };
  },
  // Goes with what the browser has kept, which is in a file then, and comes with it to another start of this.
  async leave({ person, file }) {
    await (await of(person)).context.storageState({ path: file });
    return {};
  },
  async come({ person, file }) {
    const { cookies } = JSON.parse(readFileSync(file, 'utf8'));
    await (await of(person)).context.addCookies(cookies);
    return {};
  },
  // Comes back from the issuer with what somebody was sent back with.
  async replay({ person, whose }) {
    const { page } = await of(person);
    const response = await page.goto((await of(whose)).callback);
    return told(page, response.status());
  },
  // Opens a link, and says so on its page.
  async link({ person, url }) {
    const { page } = await of(person);
    const response = await page.goto(url);
    const shown = await told(page, response.status());
    if (shown.status !== 200) return shown;
    await page.click('main button');
    await page.waitForLoadState();
    return { shown, ...(await told(page, 200)) };
  },
  async says({ person, verdict, reason, narrow }) {
    const { page } = await of(person);
    if (narrow) await page.setViewportSize({ width: 390, height: 844 });
    await page.fill('#reason', reason ?? '');
    const [response] = await Promise.all([
      page.waitForResponse((one) => one.request().method() === 'POST'),
      page.click(`button[value=${verdict}]`),
    ]);
    await page.waitForLoadState();
    return told(page, response.status());
  },
  // An agent calls a tool of the one server.
  async call({ token, tool, arguments: given }) {
    const version = '2026-07-28';
    const prefix = 'io.modelcontextprotocol/';
    const meta = {
      [`${prefix}protocolVersion`]: version,
      [`${prefix}clientInfo`]: { name: 'browser', version: '1' },
      [`${prefix}clientCapabilities`]: {},
    };
    const response = await fetch(`${address}/mcp/atlassian`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': version,
        'mcp-method': 'tools/call',
        'mcp-name': tool,
      },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: { name: tool, arguments: given, _meta: meta },
      }),
    });
    return { status: response.status, text: await response.text() };
  },
  async keys({ person }) {
    // By keyboard alone: the first row of the inbox.
    const { page } = await of(person);
    await page.goto('/console');
    for (let n = 0; n < 15; n += 1) {
      await page.keyboard.press('Tab');
      const row = await page.locator('.row').first().evaluate((one) => one === document.activeElement).catch(() => null);
      if (row) break;
    }
    await page.keyboard.press('Enter');
    await page.waitForURL('**/approvals/**');
    return told(page, 200);
  },
  // What matches, by the form above the list; then the first of them.
  async calls({ person, filter }) {
    const { page } = await of(person);
    await page.goto('/console/calls');
    for (const [name, text] of Object.entries(filter)) {
      const field = page.locator(`#${name}`);
      await (name === 'decision' ? field.selectOption(text) : field.fill(text));
    }
    await page.click('main button');
    await page.waitForLoadState();
    const list = await page.locator('main').innerText();
    await page.locator('.row').first().click();
    await page.waitForURL('**/calls/**');
    for (const record of await page.locator('summary').all()) await record.click();
    return { list, ...(await told(page, 200)) };
  },
  // Fills fields and clicks, and what is there then.
  async press({ person, fill, set, button }) {
    const { page } = await of(person);
    // As if the page had been another one.
    for (const [name, text] of Object.entries(set ?? {})) {
      await page.locator(`main input[name=${name}]`).first().evaluate((one, value) => { one.value = value; }, text);
    }
    for (const [name, text] of Object.entries(fill ?? {})) {
      const field = page.locator(`main #${name}`);
      const isChoice = await field.evaluate((one) => one.tagName === 'SELECT');
      await (isChoice ? field.selectOption(text) : field.fill(text));
    }
    const [response] = await Promise.all([
      page.waitForNavigation(),
      page.locator('main').getByRole('button', { name: button, exact: true }).first().click(),
    ]);
    return told(page, response.status());
  },
  // Follows a link of that name.
  async follow({ person, link }) {
    const { page } = await of(person);
    const [response] = await Promise.all([page.waitForNavigation(), page.locator('main a').filter({ hasText: link }).first().click()]);
    return told(page, response.status());
  },
  // In a browser with scripts, beside the one without: the page stays open, and nothing is loaded but by itself.
  async keep({ person, path }) {
    const { context } = await of(person);
    const other = await browser.newContext({ baseURL: address, storageState: await context.storageState() });
    const page = await other.newPage();
    const wrong = [];
    page.on('console', (message) => message.type() === 'error' && wrong.push(message.text()));
    page.on('pageerror', (error) => wrong.push(String(error)));
    await page.goto(path);
    await page.getByText('Live.', { exact: true }).waitFor();
    (await of(person)).kept = { page, wrong, loads: 0 };
    page.on('load', () => { people.get(person).kept.loads += 1; });
    return told(page, 200);
  },
  // Writes on the page that was kept, and reads what stands there.
  async writes({ person, field, text }) {
    await (await of(person)).kept.page.fill(`#${field}`, text);
    return {};
  },
  async reads({ person, field }) {
    return { text: await (await of(person)).kept.page.inputValue(`#${field}`) };
  },
  // In a browser with scripts and an authenticator, beside the one without: goes there, fills, clicks and touches it.
  async touch({ person, path, fill, button, verified, picture }) {
    const kept = await of(person);
    if (!kept.able) {
      const other = await browser.newContext({ baseURL: address, storageState: await kept.context.storageState() });
      const page = await other.newPage();
      const session = await other.newCDPSession(page);
      await session.send('WebAuthn.enable');
      const options = { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, automaticPresenceSimulation: true };
      const { authenticatorId } = await session.send('WebAuthn.addVirtualAuthenticator', { options });
      const wrong = [];
      page.on('pageerror', (error) => wrong.push(String(error)));
      kept.able = { page, session, authenticatorId, wrong };
    }
    const { page, session, authenticatorId, wrong } = kept.able;
    await session.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: verified ?? true });
    await page.goto(path);
    await page.evaluate(() => document.querySelectorAll('details').forEach((one) => { one.open = true; }));
    for (const [name, text] of Object.entries(fill ?? {})) await page.locator(`main #${name}`).fill(text);
    if (picture) await page.screenshot({ path: `${pictures}/${picture}.png`, fullPage: true });
    const clicked = page.locator('main').getByRole('button', { name: button, exact: true }).first();
    await Promise.all([Promise.race([page.waitForNavigation(), page.locator('main .problem').waitFor()]), clicked.click()]);
    await page.waitForLoadState();
    return { ...(await told(page, 200)), wrong };
  },
  // Waits until the page that was kept says this.
  async hears({ person, part }) {
    const { kept } = await of(person);
    await kept.page.locator('#live').getByText(part).first().waitFor();
    return { ...(await told(kept.page, 200)), loads: kept.loads, wrong: kept.wrong };
  },
  // Listens so many times at once: what is answered to each.
  async listen({ person, page, count }) {
    const { context } = await of(person);
    const cookie = (await context.cookies()).map((one) => `${one.name}=${one.value}`).join('; ');
    const all = [];
    for (let n = 0; n < count; n += 1) {
      all.push(await fetch(`${address}/console/live?page=${page}`, { headers: { cookie }, redirect: 'manual' }));
    }
    (await of(person)).streams = all;
    return { statuses: all.map((one) => one.status) };
  },
  // Everything that the first stream says until its end.
  async heard({ person }) {
    const { streams } = await of(person);
    const [first, ...others] = streams;
    await Promise.all(others.map((one) => one.body.cancel()));
    const text = await Promise.race([first.text(), new Promise((done) => setTimeout(() => done('no end'), 20_000))]);
    return { text };
  },
  async forged({ person, path, form, headers }) {
    const { context } = await of(person);
    const response = await context.request.fetch(path, { method: form ? 'POST' : 'GET', form, headers: headers ?? {}, maxRedirects: 0 });
    return { status: response.status(), text: await response.text() };
  },
  async sign_out({ person }) {
    const { page } = await of(person);
    await page.goto('/console');
    await page.click('header button');
    await page.waitForLoadState();
    const response = await page.goto('/console');
    return told(page, response.status());
  },
  async wait({ milliseconds }) {
    await new Promise((done) => setTimeout(done, milliseconds));
    return {};
  },
  // Prints a page, in a browser that may run scripts: how large that is, and everything that the page asked for but itself.
  async print({ path, picture }) {
    const other = await browser.newContext({ viewport: { width: 794, height: 1123 } });
    const page = await other.newPage();
    const asked = [];
    page.on('request', (one) => one.url() !== path && asked.push(one.url()));
    await page.goto(path);
    const scripts = await page.locator('script').count();
    const pdf = await page.pdf({ path: `${pictures}/${picture}.pdf`, format: 'A4', preferCSSPageSize: true });
    await page.emulateMedia({ media: 'print' });
    const links = await page.locator('a[href]').evaluateAll((all) => all.map((one) => one.getAttribute('href')));
    const headings = await page.locator('h2').allInnerTexts();
    await other.close();
    return { asked, scripts, bytes: pdf.length, begins: pdf.subarray(0, 5).toString(), links, headings };
  },
  async check({ person, path, picture }) {
    // Without a path, the page that they see.
    return checked(person, path ?? (await of(person)).page.url(), picture ?? person);
  },
};

const results = [];
for (const step of JSON.parse(stepsText)) {
  try {
    results.push(await does[step.do](step));
  } catch (error) {
    results.push({ error: String(error) });
  }
}
await browser.close();
console.log(JSON.stringify(results));
