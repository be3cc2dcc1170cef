// Runs a plan over one session with the TypeScript MCP client and prints one JSON line per step.
//
// Standard input: {"url" | "command": [...], "token"?, "protocol"?: "auto" | "legacy" | "2026-07-28", "timeout_ms"?, "steps":
// [{"op": "list"} | {"op": "call", "tool", "arguments", "progress"?} | {"op": "offers"} | {"op": "read", "uri"} |
// {"op": "prompt", "name", "arguments"} | {"op": "changed"} | {"op": "wait_ms", "ms"}], "listens"?}. The first line of the output is about the
// connection, then one line per step, whatever happens: a driver that hangs or stops early would hide what a test
// wants to see.

import { readFileSync } from 'node:fs';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

const plan = JSON.parse(readFileSync(0, 'utf8'));
const timeout = plan.timeout_ms ?? 20_000;
const protocol = plan.protocol ?? 'auto';
const mode = protocol === 'auto' || protocol === 'legacy' ? protocol : { pin: protocol };

const say = line => process.stdout.write(`${JSON.stringify(line)}\n`);

const failure = (op, error) => ({
  op,
  error: {
    code: error.code ?? error.name,
    ...(error.data?.status && { status: error.data.status }),
    message: String(error.message ?? error),
    data: error.data,
  },
});

const sleep = ms => new Promise(done => setTimeout(done, ms));

// Rejects after `ms`, whatever the SDK does.
const within = (ms, work) => {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(Object.assign(new Error(`no answer in ${ms} ms`), { code: 'timeout' })), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
};

async function listTools(client) {
  // Asked anew each time: the client may keep a list that is called public.
  const { tools } = await client.listTools(undefined, { timeout, cacheMode: 'refresh' });
  return { op: 'list', tools: tools.map(tool => tool.name) };
}

async function callTool(client, step) {
  const progress = [];
  const options = { timeout, ...(step.progress && { onprogress: heard => progress.push(heard.progress) }) };
  const result = await client.callTool({ name: step.tool, arguments: step.arguments ?? {} }, options);
  return {
    op: 'call',
    isError: Boolean(result.isError),
    text: (result.content ?? []).filter(part => part.type === 'text').map(part => part.text).join('\n'),
    structured: result.structuredContent ?? null,
    meta: result._meta ?? null,
    progress,
  };
}

async function listOffers(client) {
  const options = { timeout, cacheMode: 'refresh' };
  const { resources } = await client.listResources(undefined, options);
  const { resourceTemplates } = await client.listResourceTemplates(undefined, options);
  const { prompts } = await client.listPrompts(undefined, options);
  return {
    op: 'offers',
    resources: resources.map(one => one.uri),
    templates: resourceTemplates.map(one => one.uriTemplate),
    prompts: prompts.map(one => one.name),
  };
}

async function readResource(client, step) {
  const { contents } = await client.readResource({ uri: step.uri }, { timeout });
  return { op: 'read', text: contents.map(part => part.text).join('\n') };
}

async function getPrompt(client, step) {
  const { messages } = await client.getPrompt({ name: step.name, arguments: step.arguments ?? {} }, { timeout });
  return { op: 'prompt', text: messages.map(said => said.content.text).join('\n') };
}

// The lists of tools that the client fetched because it was told that they changed.
const changes = [];

async function nextChange() {
  while (changes.length === 0) {
    await sleep(20);
  }
  return { op: 'changed', tools: changes.shift() };
}

function runStep(client, step) {
  switch (step.op) {
    case 'list':
      return within(timeout + 1000, listTools(client));
    case 'call':
      return within(timeout + 1000, callTool(client, step));
    case 'offers':
      return within(timeout + 1000, listOffers(client));
    case 'read':
      return within(timeout + 1000, readResource(client, step));
    case 'prompt':
      return within(timeout + 1000, getPrompt(client, step));
    case 'changed':
      return within(timeout, nextChange());
    case 'wait_ms':
      return sleep(step.ms).then(() => ({ op: 'wait_ms' }));
    default:
      return Promise.reject(new Error(`unknown op ${step.op}`));
  }
}

const onChanged = (error, tools) => changes.push(error ? String(error) : tools.map(tool => tool.name));
const client = new Client(
  { name: 'callgate-drive', version: '1.0.0' },
  { versionNegotiation: { mode }, ...(plan.listens && { listChanged: { tools: { onChanged } } }) },
);
const transportTo = ({ command, url, token }) => {
  if (command) {
    return new StdioClientTransport({ command: command[0], args: command.slice(1), stderr: 'ignore' });
  }
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  return new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
};
const transport = transportTo(plan);

let lost;
try {
  await within(timeout, client.connect(transport, { timeout }));
  say({
    op: 'connect',
    client: 'typescript client',
    protocolVersion: client.getNegotiatedProtocolVersion() ?? null,
    serverInfo: client.getServerVersion() ?? null,
  });
} catch (error) {
  lost = error;
  say(failure('connect', error));
}
for (const step of plan.steps) {
  say(lost ? failure(step.op, lost) : await runStep(client, step).catch(error => failure(step.op, error)));
}
await within(1000, client.close()).catch(() => {});
process.exit(0);
