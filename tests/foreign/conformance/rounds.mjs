// The tools of the modern era that need something from the client before they answer: each call is a round of its own,
// and what the server has to remember travels with the client, sealed.

import { acceptedContent, inputRequired } from '@modelcontextprotocol/server';
import { askFor, askModel, saying } from './parts.mjs';

const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities';

const confirm = () =>
  inputRequired.elicit({
    message: 'Please confirm',
    requestedSchema: { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] },
  });

export function addRounds(server, states) {
  addSingles(server);
  addSealed(server, states);
  server.registerTool(
    'test_input_required_result_capabilities',
    { description: 'Asks only for what the client can give' },
    ctx => {
      const declared = ctx.mcpReq.envelope?.[CAPABILITIES] ?? {};
      const inputRequests = {
        ...(declared.elicitation && { user_name: askFor('What is your name?', 'name') }),
        ...(declared.sampling && { greeting: askModel('Generate a greeting', 50) }),
      };
      const nothing = Object.keys(inputRequests).length === 0;
      return nothing ? saying('The client can give nothing.') : inputRequired({ inputRequests });
    },
  );
  server.registerTool(
    'test_streaming_elicitation',
    { description: 'Asks the user, whatever the stream' },
    ctx => {
      const given = acceptedContent(ctx.mcpReq.inputResponses, 'user_name');
      const inputRequests = { user_name: askFor('What is your name?', 'name') };
      return given ? saying(`Hello, ${given.name}!`) : inputRequired({ inputRequests });
    },
  );
}

// One question, asked again until it is answered.
function addSingles(server) {
  const tool = (name, description, key, request, answer) =>
    server.registerTool(name, { description }, ctx => {
      const response = ctx.mcpReq.inputResponses?.[key];
      const words = response && answer(response);
      return words ? saying(words) : inputRequired({ inputRequests: { [key]: request() } });
    });
  tool(
    'test_input_required_result_elicitation',
    'Asks the user for a name',
    'user_name',
    () => askFor('What is your name?', 'name'),
    ({ action, content }) =>
      action === 'accept' && typeof content?.name === 'string' ? `Hello, ${content.name}!` : undefined,
  );
  tool(
    'test_input_required_result_sampling',
    'Asks the model of the client',
    'capital_question',
    () => askModel('What is the capital of France?', 100),
    ({ content }) => content?.text,
  );
  // The suite declares no model here: the SDK refuses to ask, as every server must.
  tool(
    'test_missing_capability',
    'Asks the model of a client that has none',
    'greeting',
    () => askModel('Generate a greeting', 50),
    ({ content }) => content?.text,
  );
  tool(
    'test_input_required_result_list_roots',
    'Asks for the roots of the client',
    'client_roots',
    () => inputRequired.listRoots(),
    ({ roots }) => roots && `Roots: ${roots.map(root => root.uri).join(', ')}`,
  );
}

// Rounds that need to know what the round before was.
function addSealed(server, states) {
  const tool = (name, description, answer) => server.registerTool(name, { description }, answer);
  const ask = async (step, inputRequests) =>
    inputRequired({ inputRequests, requestState: await states.mint({ step }) });
  const confirmed = async ctx => {
    const given = acceptedContent(ctx.mcpReq.inputResponses, 'confirm');
    const known = ctx.mcpReq.requestState()?.step === 'confirm';
    return given && known ? saying('state-ok') : ask('confirm', { confirm: confirm() });
  };
  tool('test_input_required_result_request_state', 'Remembers what it asked', confirmed);
  tool('test_input_required_result_tampered_state', 'Refuses a state it did not make', confirmed);
  tool('test_input_required_result_multiple_inputs', 'Asks three things at once', ctx => {
    const { user_name: name, greeting, client_roots: roots } = ctx.mcpReq.inputResponses ?? {};
    if (name && greeting && roots && ctx.mcpReq.requestState()?.step === 'all') {
      return saying(`${greeting.content?.text} (${name.content?.name}, ${roots.roots?.length})`);
    }
    return ask('all', {
      user_name: askFor('What is your name?', 'name'),
      greeting: askModel('Generate a greeting', 50),
      client_roots: inputRequired.listRoots(),
    });
  });
  tool('test_input_required_result_multi_round', 'Asks one thing after the other', ctx => {
    const responses = ctx.mcpReq.inputResponses;
    const step = ctx.mcpReq.requestState()?.step;
    if (step === 'two' && acceptedContent(responses, 'step2')) {
      return saying('Both questions are answered.');
    }
    if (step === 'one' && acceptedContent(responses, 'step1')) {
      return ask('two', { step2: askFor('Step 2: What is your favorite color?', 'color') });
    }
    return ask('one', { step1: askFor('Step 1: What is your name?', 'name') });
  });
}
