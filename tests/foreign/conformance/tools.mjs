// The tools that the conformance suite calls and that answer in one round.

import { fromJsonSchema } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { aMoment, PNG, saying, WAV } from './parts.mjs';

const IMAGE = { type: 'image', data: PNG, mimeType: 'image/png' };

// Keywords of JSON Schema 2020-12 that a careless intermediary would lose.
const RICH_SCHEMA = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: {
    address: {
      $anchor: 'addressDef',
      type: 'object',
      properties: { street: { type: 'string' }, city: { type: 'string' } },
    },
  },
  properties: {
    name: { type: 'string' },
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: { type: 'string' },
    email: { type: 'string' },
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false,
};

export function addTools(server, changes) {
  addContents(server);
  addNotifiers(server, changes);
  addAskers(server);
  server.registerTool(
    'test_x_mcp_header',
    {
      description: 'Has an argument that is mirrored in a header',
      inputSchema: z.object({ region: z.string().meta({ 'x-mcp-header': 'Region' }) }),
    },
    ({ region }) => saying(`In ${region}.`),
  );
  server.registerTool(
    'json_schema_2020_12_tool',
    { description: 'Tool with JSON Schema 2020-12 features', inputSchema: fromJsonSchema(RICH_SCHEMA) },
    () => saying('It fits.'),
  );
}

function addContents(server) {
  const tool = (name, description, answer) => server.registerTool(name, { description }, answer);
  tool('test_simple_text', 'Answers with a text', () => saying('This is a simple text response for testing.'));
  tool('test_image_content', 'Answers with an image', () => ({ content: [IMAGE] }));
  tool('test_audio_content', 'Answers with a sound', () => ({
    content: [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }],
  }));
  const embedded = (uri, mimeType, text) => ({ type: 'resource', resource: { uri, mimeType, text } });
  tool('test_embedded_resource', 'Answers with a resource', () => ({
    content: [embedded('test://embedded-resource', 'text/plain', 'This is an embedded resource content.')],
  }));
  tool('test_multiple_content_types', 'Answers with some of each', () => ({
    content: [
      { type: 'text', text: 'Multiple content types test:' },
      IMAGE,
      embedded('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
    ],
  }));
  tool('test_error_handling', 'Always fails', () => {
    throw new Error('This tool intentionally returns an error for testing');
  });
}

function addNotifiers(server, changes) {
  const tool = (name, description, answer) => server.registerTool(name, { description }, answer);
  tool('test_tool_with_logging', 'Logs three times', async ctx => {
    await ctx.mcpReq.log('info', 'Tool execution started');
    await aMoment();
    await ctx.mcpReq.log('info', 'Tool processing data');
    await aMoment();
    await ctx.mcpReq.log('info', 'Tool execution completed');
    return saying('It has logged.');
  });
  tool('test_logging_tool', 'Logs, if the client wants to hear it', async ctx => {
    await ctx.mcpReq.log('info', 'Heard only by who asked for it');
    return saying('It has logged.');
  });
  tool('test_tool_with_progress', 'Tells its progress', async ctx => {
    const progressToken = ctx.mcpReq._meta?.progressToken;
    for (const progress of [0, 50, 100]) {
      if (progressToken !== undefined) {
        const params = { progressToken, progress, total: 100 };
        await ctx.mcpReq.notify({ method: 'notifications/progress', params });
      }
      await aMoment();
    }
    return saying('It is done.');
  });
  tool('test_trigger_tool_change', 'Says that the tools have changed', () => {
    changes.tools();
    return saying('Listeners were told.');
  });
  tool('test_trigger_prompt_change', 'Says that the prompts have changed', () => {
    changes.prompts();
    return saying('Listeners were told.');
  });
}

const string = description => ({ type: 'string', description });
const named = (value, title) => ({ const: value, title });

// Every primitive type with a default.
const DEFAULTS = {
  name: { type: 'string', default: 'John Doe' },
  age: { type: 'integer', default: 30 },
  score: { type: 'number', default: 95.5 },
  status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
  verified: { type: 'boolean', default: true },
};

// Every way to write a choice.
const OPTIONS = ['option1', 'option2', 'option3'];
const CHOICES = {
  untitledSingle: { type: 'string', enum: OPTIONS },
  titledSingle: {
    type: 'string',
    oneOf: [named('value1', 'First Option'), named('value2', 'Second Option'), named('value3', 'Third Option')],
  },
  legacyEnum: {
    type: 'string',
    enum: ['opt1', 'opt2', 'opt3'],
    enumNames: ['Option One', 'Option Two', 'Option Three'],
  },
  untitledMulti: { type: 'array', items: { type: 'string', enum: OPTIONS } },
  titledMulti: {
    type: 'array',
    items: {
      anyOf: [named('value1', 'First Choice'), named('value2', 'Second Choice'), named('value3', 'Third Choice')],
    },
  },
};

// Tools of the legacy era, which ask their client while they run.
function addAskers(server) {
  server.registerTool(
    'test_sampling',
    { description: 'Asks the model of the client', inputSchema: z.object({ prompt: z.string() }) },
    async ({ prompt }, ctx) => {
      const messages = [{ role: 'user', content: { type: 'text', text: prompt } }];
      const { content } = await ctx.mcpReq.requestSampling({ messages, maxTokens: 100 });
      return saying(`LLM response: ${content.text}`);
    },
  );
  const ask = async (ctx, message, properties, required) => {
    const requestedSchema = { type: 'object', properties, required };
    const { action, content } = await ctx.mcpReq.elicitInput({ message, requestedSchema });
    return `action=${action}, content=${JSON.stringify(content ?? {})}`;
  };
  server.registerTool(
    'test_elicitation',
    { description: 'Asks the user', inputSchema: z.object({ message: z.string() }) },
    async ({ message }, ctx) => {
      const fields = { username: string("User's response"), email: string("User's email address") };
      return saying(`User response: ${await ask(ctx, message, fields, ['username', 'email'])}`);
    },
  );
  server.registerTool(
    'test_elicitation_sep1034_defaults',
    { description: 'Asks the user, with an answer for everything' },
    async ctx => saying(`Elicitation completed: ${await ask(ctx, 'Are these right?', DEFAULTS, [])}`),
  );
  server.registerTool(
    'test_elicitation_sep1330_enums',
    { description: 'Asks the user to choose' },
    async ctx => saying(`Elicitation completed: ${await ask(ctx, 'Choose.', CHOICES, [])}`),
  );
}
