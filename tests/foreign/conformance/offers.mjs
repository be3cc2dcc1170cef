// The resources and prompts that the conformance suite reads.

import { completable, inputRequired, acceptedContent, ResourceTemplate } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { askFor, PNG } from './parts.mjs';

const user = content => ({ role: 'user', content });
const text = words => ({ type: 'text', text: words });

export function addResources(server) {
  const plain = { mimeType: 'text/plain' };
  server.registerResource(
    'static-text',
    'test://static-text',
    { ...plain, description: 'A text that never changes' },
    uri => ({
      contents: [{ ...plain, uri: uri.href, text: 'This is the content of the static text resource.' }],
    }),
  );
  server.registerResource(
    'static-binary',
    'test://static-binary',
    { mimeType: 'image/png', description: 'An image that never changes' },
    uri => ({ contents: [{ uri: uri.href, mimeType: 'image/png', blob: PNG }] }),
  );
  server.registerResource(
    'watched',
    'test://watched-resource',
    { ...plain, description: 'A text that clients subscribe to' },
    uri => ({ contents: [{ ...plain, uri: uri.href, text: 'Nothing new.' }] }),
  );
  server.registerResource(
    'template',
    new ResourceTemplate('test://template/{id}/data', { list: undefined }),
    { mimeType: 'application/json', description: 'One record by its id' },
    (uri, { id }) => ({
      contents: [
        {
          uri: uri.href,
          mimeType: 'application/json',
          text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }),
        },
      ],
    }),
  );
  // The high-level server has resources, but nobody who remembers subscribers; the suite only wants to be told yes.
  server.server.setRequestHandler('resources/subscribe', () => ({}));
  server.server.setRequestHandler('resources/unsubscribe', () => ({}));
}

export function addPrompts(server) {
  server.registerPrompt('test_simple_prompt', { description: 'One fixed message' }, () => ({
    messages: [user(text('This is a simple prompt for testing.'))],
  }));
  const argument = meaning => completable(z.string().describe(meaning), () => ['paris', 'park', 'party']);
  server.registerPrompt(
    'test_prompt_with_arguments',
    {
      description: 'A message with both arguments in it',
      argsSchema: z.object({ arg1: argument('The first'), arg2: argument('The second') }),
    },
    ({ arg1, arg2 }) => ({ messages: [user(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`))] }),
  );
  server.registerPrompt(
    'test_prompt_with_embedded_resource',
    { description: 'A message that holds a resource', argsSchema: z.object({ resourceUri: z.string() }) },
    ({ resourceUri }) => {
      const words = 'Embedded resource content for testing.';
      const resource = { uri: resourceUri, mimeType: 'text/plain', text: words };
      const question = text('Please process the embedded resource above.');
      return { messages: [user({ type: 'resource', resource }), user(question)] };
    },
  );
  server.registerPrompt('test_prompt_with_image', { description: 'A message that holds an image' }, () => {
    const image = { type: 'image', data: PNG, mimeType: 'image/png' };
    return { messages: [user(image), user(text('Please analyze the image above.'))] };
  });
  server.registerPrompt('test_input_required_result_prompt', { description: 'Asks before it answers' }, ctx => {
    const given = acceptedContent(ctx.mcpReq.inputResponses, 'user_context');
    return given
      ? { messages: [user(text(`In the context of ${given.context}.`))] }
      : inputRequired({
          inputRequests: { user_context: askFor('What context should the prompt use?', 'context') },
        });
  });
}
