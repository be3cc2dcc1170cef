// What both SDKs do alike.

// The first page of everything that is not a tool.
export async function offersOf(client, options) {
  const { resources } = await client.listResources(undefined, options);
  const { resourceTemplates } = await client.listResourceTemplates(undefined, options);
  const { prompts } = await client.listPrompts(undefined, options);
  return {
    resources: resources.map(one => one.uri),
    templates: resourceTemplates.map(one => one.uriTemplate),
    prompts: prompts.map(one => one.name),
  };
}

export const read = async (client, uri, options) =>
  (await client.readResource({ uri }, options)).contents.map(part => part.text);

export const prompt = async (client, wanted, options) =>
  (await client.getPrompt(wanted, options)).messages.map(said => said.content.text);

// Calls, and has had enough after a while: then there is no result.
export async function unlessAborted(call, ms) {
  if (ms === undefined) {
    return call(undefined);
  }
  const signal = AbortSignal.timeout(ms);
  try {
    return await call(signal);
  } catch (error) {
    if (signal.aborted) {
      return undefined;
    }
    throw error;
  }
}

// What a client declares that can show pages.
export const showsPages = ({ pages }) => pages && { capabilities: { elicitation: { form: {}, url: {} } } };

// Notes what page it is asked to show, and does what the plan says.
export const pageShower = ({ pages }, shown) => async request => {
  shown.push(request.params.url);
  return { action: pages };
};
