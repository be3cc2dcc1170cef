// A client that finds out by itself where to log in, and does so: `login.mjs client|sdk URL PERSON [CLIENT]` for a person,
// by a client that the provider knows, or else one that registers itself;
// `login.mjs job URL ISSUER` for a job that has a secret at that issuer. What it is told goes to standard output, one JSON object.
//
// If it is told that a scope is missing, it gets that in the same way, and calls again. All of OAuth is the SDK's; only the pages that a person would see in a browser are filled in here.
import * as new2026 from '@modelcontextprotocol/client';
import { Client as Client2025 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as Transport2025 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const [kind, url, who, known] = process.argv.slice(2);
const REDIRECT = 'http://127.0.0.1:1/callback';

const [Client, Transport] =
  kind === 'sdk' ? [Client2025, Transport2025] : [new2026.Client, new2026.StreamableHTTPClientTransport];

// What an SDK has its host keep, in memory.
class Kept {
  client = known && { client_id: known };
  redirectUrl = REDIRECT;
  clientMetadata = {
    client_name: 'a client of the tests',
    application_type: 'native',
    redirect_uris: [REDIRECT],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  };
  clientInformation() {
    return this.client;
  }
  saveClientInformation(client) {
    this.client = client;
  }
  tokens() {
    return this.token;
  }
  saveTokens(token) {
    this.token = token;
  }
  saveCodeVerifier(verifier) {
    this.verifier = verifier;
  }
  codeVerifier() {
    return this.verifier;
  }
  redirectToAuthorization(page) {
    this.page = page;
  }
}

// What a browser and its person do: log in by name, agree, and come back.
async function browse(page) {
  const cookies = new Map();
  const answers = [{ prompt: 'login', login: who, password: 'any' }, { prompt: 'consent' }];
  let next = page;
  for (let steps = 0; steps < 12; steps += 1) {
    if (next.href.startsWith(REDIRECT)) {
      return next.searchParams;
    }
    const form = next.pathname.startsWith('/interaction/') ? answers.shift() : undefined;
    const answer = await fetch(next, {
      method: form ? 'POST' : 'GET',
      body: form && new URLSearchParams(form),
      headers: { cookie: [...cookies].map(pair => pair.join('=')).join('; ') },
      redirect: 'manual',
    });
    for (const cookie of answer.headers.getSetCookie()) {
      const [name, value] = cookie.split(';')[0].split('=');
      cookies.set(name, value);
    }
    next = new URL(answer.headers.get('location'), next);
  }
  throw new Error('the provider asks for more and more');
}

const client = () => new Client({ name: 'a client of the tests', version: '1' });
let authProvider;
let refused;
if (kind === 'job') {
  authProvider = new new2026.ClientCredentialsProvider({
    clientId: 'nightly',
    clientSecret: 'the secret of the nightly job',
    expectedIssuer: who,
  });
} else {
  authProvider = new Kept();
  const first = new Transport(new URL(url), { authProvider });
  refused = await client().connect(first).then(() => undefined, error => error);
  await login(first, refused);
}

// Goes to the page that the SDK wants its user to see. If there is none, what it said stands.
async function login(transport, refused) {
  const { page } = authProvider;
  authProvider.page = undefined;
  if (!page) {
    throw refused;
  }
  const back = await browse(page);
  await transport.finishAuth(kind === 'sdk' ? back.get('code') : back);
}

const connected = client();
const transport = new Transport(new URL(url), { authProvider });
await connected.connect(transport);
const { tools } = await connected.listTools();
const ask = async (name, args) => {
  const { isError = false, content } = await connected.callTool({ name, arguments: args });
  return { isError, text: content[0].text };
};
const call = async (name, args) => {
  try {
    return await ask(name, args).catch(async error => {
      await login(transport, error);
      return { ...(await ask(name, args)), after: error.constructor.name };
    });
  } catch (error) {
    return { isError: true, text: error.message };
  }
};
const told = { refused: refused?.constructor.name, tools: tools.map(tool => tool.name), calls: [] };
if (tools.length > 0) {
  const issue = key => ({ cloudId: 'https://acme.atlassian.net', issueIdOrKey: key });
  told.calls = [
    await call('getJiraIssue', issue('ENG-42')),
    await call('editJiraIssue', { ...issue('ENG-42'), fields: { summary: `by ${who}` } }),
    await call('editJiraIssue', { ...issue('OPS-7'), fields: { summary: `by ${who}` } }),
  ];
}
told.token = (await authProvider.tokens()).access_token;
process.stdout.write(`${JSON.stringify(told)}\n`);
await connected.close();
