// An MCP server that offers what the official conformance suite looks for, made with the official SDK: what stands
// behind the gateway when the suite is run against it.
//
// It serves both eras on one endpoint and says `listening URL` when it does. It ends when its standard input does.

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import {
  localhostHostValidation,
  localhostOriginValidation,
  NodeStreamableHTTPServerTransport,
  toNodeHandler,
  toWebRequest,
} from '@modelcontextprotocol/node';
import { createMcpHandler, createRequestStateCodec, isLegacyRequest, McpServer } from '@modelcontextprotocol/server';
import { addPrompts, addResources } from './offers.mjs';
import { addRounds } from './rounds.mjs';
import { addTools } from './tools.mjs';

const PATH = '/mcp';
const SESSION = 'mcp-session-id';

// One key for the life of the process: a state that another process made is refused.
const states = createRequestStateCodec({ key: randomUUID() + randomUUID() });

// What is told to clients that listen. Set below: the handler that tells them is made of the servers.
const changes = { tools: () => {}, prompts: () => {} };

function makeServer() {
  const server = new McpServer(
    { name: 'callgate-conformance-fixture', version: '1.0.0' },
    {
      capabilities: { logging: {}, resources: { subscribe: true, listChanged: true } },
      requestState: { verify: states.verify },
    },
  );
  addTools(server, changes);
  addRounds(server, states);
  addResources(server);
  addPrompts(server);
  return server;
}

const modern = createMcpHandler(makeServer, { legacy: 'reject' });
const serveModern = toNodeHandler(modern);
changes.tools = () => modern.notify.toolsChanged();
changes.prompts = () => modern.notify.promptsChanged();

// The legacy era: sessions, each with a server of its own, because the server asks its client back.
const sessions = new Map();

async function serveLegacy(request, response, body) {
  const known = sessions.get(request.headers[SESSION]);
  if (known) {
    return known.handleRequest(request, response, body);
  }
  if (request.headers[SESSION]) {
    response.writeHead(404).end();
    return undefined;
  }
  const transport = new NodeStreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: id => sessions.set(id, transport),
    onsessionclosed: id => sessions.delete(id),
  });
  await makeServer().connect(transport);
  return transport.handleRequest(request, response, body);
}

async function readJson(request) {
  const chunks = [];
  for await (const chunk of request) {
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  return text ? JSON.parse(text) : undefined;
}

const hostIsOurs = localhostHostValidation();
const originIsOurs = localhostOriginValidation();

async function serve(request, response) {
  if (!hostIsOurs(request, response) || !originIsOurs(request, response)) {
    return;
  }
  if (new URL(request.url, 'http://localhost').pathname !== PATH) {
    response.writeHead(404).end();
    return;
  }
  const body = request.method === 'POST' ? await readJson(request) : undefined;
  const legacy = await isLegacyRequest(await toWebRequest(request, body), body);
  await (legacy ? serveLegacy : serveModern)(request, response, body);
}

const http = createServer((request, response) => {
  serve(request, response).catch(error => {
    process.stderr.write(`${error.stack}\n`);
    response.writeHead(400).end();
  });
});
http.listen(0, '127.0.0.1', () => {
  process.stdout.write(`listening http://127.0.0.1:${http.address().port}${PATH}\n`);
});
process.stdin.on('end', () => process.exit(0)).resume();
