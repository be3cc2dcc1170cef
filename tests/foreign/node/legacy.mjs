// What the TypeScript SDKs before version 2 do alike.

import { offersOf, pageShower, prompt, read, showsPages, unlessAborted } from './alike.mjs';

const transportTo = ({ StdioClientTransport, StreamableHTTPClientTransport }, { command, url, token }) => {
  if (command) {
    return new StdioClientTransport({ command: command[0], args: command.slice(1), stderr: 'ignore' });
  }
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  return new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
};

// Every page.
async function tools(client, limits) {
  const names = [];
  let cursor;
  for (let pages = 0; pages < 64; pages += 1) {
    const page = await client.listTools(cursor === undefined ? undefined : { cursor }, limits);
    names.push(...page.tools.map(tool => tool.name));
    cursor = page.nextCursor;
    if (cursor === undefined) {
      break;
    }
  }
  return names;
}

export const connectWith = sdk => async (plan, options) => {
  const client = new sdk.Client({ name: 'callgate-drive', version: '1.0.0' }, { ...showsPages(plan) });
  const shown = [];
  if (plan.pages) {
    client.setRequestHandler(sdk.ElicitRequestSchema, pageShower(plan, shown));
  }
  const transport = transportTo(sdk, plan);
  let protocolVersion;
  // The client tells only its transport what was agreed on, and not even that at first.
  const set = transport.setProtocolVersion?.bind(transport);
  transport.setProtocolVersion = version => {
    protocolVersion = version;
    set?.(version);
  };
  await client.connect(transport, options);
  return {
    hello: { client: 'typescript sdk', protocolVersion, serverInfo: client.getServerVersion() ?? null },
    tools: limits => tools(client, limits),
    call: (call, limits, cancelMs) =>
      unlessAborted(signal => client.callTool(call, undefined, { ...limits, ...(signal && { signal }) }), cancelMs),
    shown,
    offers: limits => offersOf(client, limits),
    read: (uri, limits) => read(client, uri, limits),
    prompt: (wanted, limits) => prompt(client, wanted, limits),
    close: () => client.close(),
  };
};
