// What several offers are made of.

import { inputRequired } from '@modelcontextprotocol/server';

// The smallest of their kind: one red pixel, one sample of silence.
export const PNG =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
export const WAV = 'UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQIAAAAAAA==';

export const saying = words => ({ content: [{ type: 'text', text: words }] });

export const aMoment = () => new Promise(done => setTimeout(done, 50));

// A question to the user for one required text.
export const askFor = (message, name) =>
  inputRequired.elicit({
    message,
    requestedSchema: { type: 'object', properties: { [name]: { type: 'string' } }, required: [name] },
  });

// A question to the user's model.
export const askModel = (question, maxTokens) =>
  inputRequired.createMessage({
    messages: [{ role: 'user', content: { type: 'text', text: question } }],
    maxTokens,
  });
