// The client that the conformance suite judges. It does what the scenario asks of a client, at the address in the last
// argument, and knows nothing of what may be in between.

// The suite tells the scenario, the revision and what else there is to know through the environment.
const scenario = process.env.MCP_CONFORMANCE_SCENARIO ?? '';
const revision = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION ?? '';
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const url = process.argv.at(-1);

// How this client logs in is no concern of a gateway that has credentials of its own.
if (scenario.startsWith('auth/')) {
  process.exit(0);
}

const { Client, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client');

// Declares everything, and leaves the defaults of a form to the SDK.
const client = new Client(
  { name: 'callgate-judged', version: '1.0.0' },
  {
    versionNegotiation: { mode: revision < '2026' ? 'legacy' : 'auto' },
    capabilities: { elicitation: { form: { applyDefaults: true } }, sampling: {}, roots: {} },
  },
);
client.setRequestHandler('elicitation/create', ({ params }) => ({
  action: 'accept',
  content: 'confirmed' in params.requestedSchema.properties ? { confirmed: true } : {},
}));
client.setRequestHandler('roots/list', () => ({ roots: [] }));
client.setRequestHandler('sampling/createMessage', () => ({
  role: 'assistant',
  model: 'none',
  content: { type: 'text', text: 'nothing' },
}));

const call = (name, args = {}) => client.callTool({ name, arguments: args });

// With what a tool requires.
const callEach = async tools => {
  for (const { name, inputSchema } of tools) {
    await call(name, Object.fromEntries((inputSchema.required ?? []).map(argument => [argument, 'anything'])));
  }
};

// Only that it was asked for matters, not the answer.
const tryTo = work => work.catch(error => console.error(`let pass: ${error.message}`));

const scenarios = {
  initialize: () => {},
  tools_call: () => call('add_numbers', { a: 5, b: 3 }),
  'elicitation-sep1034-client-defaults': () => call('test_client_elicitation_defaults'),
  'sse-retry': () => call('test_reconnection'),
  'request-metadata': async () => {
    await tryTo(client.readResource({ uri: 'test://metadata' }));
    await tryTo(call('anything'));
  },
  'sep-2322-client-request-state': async () => {
    for (const name of ['test_mrtr_echo_state', 'test_mrtr_unrelated', 'test_mrtr_no_state']) {
      await call(name);
    }
    // The SDK refuses what says nothing of its kind.
    await tryTo(call('test_mrtr_no_result_type'));
  },
  'http-standard-headers': async tools => {
    await callEach(tools);
    const { resources } = await client.listResources();
    for (const { uri } of resources) {
      await client.readResource({ uri });
    }
    const { prompts } = await client.listPrompts();
    for (const { name } of prompts) {
      await client.getPrompt({ name });
    }
  },
  'http-custom-headers': async () => {
    for (const { name, arguments: args } of context.toolCalls) {
      await call(name, args);
    }
  },
  'http-invalid-tool-headers': callEach,
  'json-schema-ref-no-deref': () => {},
  'json-schema-2020-12-preservation': tools =>
    call('json_schema_echo', {
      schema: tools.find(tool => tool.name === 'json_schema_2020_12_tool').inputSchema,
    }),
};

await client.connect(new StreamableHTTPClientTransport(new URL(url)));
const { tools } = await client.listTools();
await scenarios[scenario](tools);
await client.close();
process.exit(0);
