// The TypeScript client from version 2 on, for `drive.mjs`: speaks both eras.

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { offersOf, pageShower, prompt, read, showsPages, unlessAborted } from './alike.mjs';

const transportTo = ({ command, url, token }) => {
  if (command) {
    return new StdioClientTransport({ command: command[0], args: command.slice(1), stderr: 'ignore' });
  }
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  return new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
};

export async function connect(plan, options) {
  const protocol = plan.protocol ?? 'auto';
  const mode = protocol === 'auto' || protocol === 'legacy' ? protocol : { pin: protocol };
  // The lists of tools that the client fetched because it was told that they changed.
  const changes = [];
  const onChanged = (error, tools) => changes.push(error ? String(error) : tools.map(tool => tool.name));
  const client = new Client(
    { name: 'callgate-drive', version: '1.0.0' },
    {
      versionNegotiation: { mode },
      ...showsPages(plan),
      ...(plan.listens && { listChanged: { tools: { onChanged } } }),
    },
  );
  const shown = [];
  if (plan.pages) {
    client.setRequestHandler('elicitation/create', pageShower(plan, shown));
  }
  await client.connect(transportTo(plan), options);
  return {
    hello: {
      client: 'typescript client',
      protocolVersion: client.getNegotiatedProtocolVersion() ?? null,
      serverInfo: client.getServerVersion() ?? null,
    },
    // Asked anew each time: the client may keep a list that is called public.
    tools: async limits => {
      const { tools } = await client.listTools(undefined, { ...limits, cacheMode: 'refresh' });
      return tools.map(tool => tool.name);
    },
    call: (call, limits, cancelMs) =>
      unlessAborted(signal => client.callTool(call, { ...limits, ...(signal && { signal }) }), cancelMs),
    shown,
    change: async () => {
      while (changes.length === 0) {
        await new Promise(done => setTimeout(done, 20));
      }
      return changes.shift();
    },
    offers: limits => offersOf(client, { ...limits, cacheMode: 'refresh' }),
    read: (uri, limits) => read(client, uri, limits),
    prompt: (wanted, limits) => prompt(client, wanted, limits),
    close: () => client.close(),
  };
}
