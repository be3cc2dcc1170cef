// Receives what people are told, and judges it with software that others wrote: webhooks by their signatures, cards by the library that
// shows them, mail by a server and a parser. `node receive.mjs FOLDER SECRET…` prints its ports; `GET /received` tells what came.
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { simpleParser } from 'mailparser';
import { generate } from 'selfsigned';
import { SMTPServer } from 'smtp-server';
import { Webhook } from 'standardwebhooks';

// Its bundle is made for browsers.
globalThis.self = globalThis;
const { AdaptiveCard, SerializationContext } = createRequire(import.meta.url)('adaptivecards/dist/adaptivecards.js');

const [folder, ...secrets] = process.argv.slice(2);
const received = [];
let mended = false;

const verified = (body, headers) => secrets.map(secret => {
  try {
    return Boolean(new Webhook(secret).verify(body, headers));
  } catch (error) {
    return error.message;
  }
});

const judged = message => {
  const [attachment] = message.attachments;
  const [card, context] = [new AdaptiveCard(), new SerializationContext()];
  card.parse(attachment.content, context);
  const parsing = Array.from({ length: context.eventCount }, (_, index) => context.getEventAt(index).message);
  const validation = card.validateProperties().validationEvents.map(event => event.message);
  return { type: attachment.contentType, problems: [...parsing, ...validation], actions: card.getActionCount() };
};

const parsed = (body, headers) => {
  if (!headers['content-type'].startsWith('application/x-ndjson')) return JSON.parse(body);
  return body.trimEnd().split('\n').map(line => JSON.parse(line));
};

const take = {
  webhook: (body, headers) => ({ verified: verified(body, headers), id: headers['webhook-id'], type: headers['content-type'], body: parsed(body, headers) }),
  flaky: (body, headers) => take.webhook(body, headers),
  slow: (body, headers) => take.webhook(body, headers),
  slack: body => ({ body: JSON.parse(body) }),
  teams: body => ({ ...judged(JSON.parse(body)), body: JSON.parse(body) }),
  broken: (_, headers) => ({ id: headers['webhook-id'] }),
  hang: (_, headers) => ({ id: headers['webhook-id'] }),
  elsewhere: () => ({}),
};

const answer = (kind, response) => {
  switch (kind) {
    case 'broken': return response.writeHead(500).end('no');
    case 'flaky': return response.writeHead(mended ? 204 : 503).end();
    case 'elsewhere': return response.writeHead(302, { location: '/webhook' }).end();
    case 'hang': return undefined;
    case 'slow': return setTimeout(() => response.writeHead(204).end(), 1500);
    default: return response.writeHead(204).end();
  }
};

const web = createServer(async (request, response) => {
  const kind = request.url.slice(1);
  if (kind === 'received') return response.end(JSON.stringify(received));
  if (kind === 'mend') {
    mended = true;
    return response.end();
  }
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) body += chunk;
  received.push({ kind, method: request.method, ...take[kind](body, request.headers) });
  return answer(kind, response);
});

const onData = kind => (stream, session, done) => {
  simpleParser(stream).then(mail => {
    const headers = mail.headerLines.map(({ line }) => line);
    const { subject, text, html, messageId } = mail;
    const to = session.envelope.rcptTo.map(({ address }) => address);
    received.push({ kind, secure: session.secure, user: session.user, from: session.envelope.mailFrom.address, to, subject, text, html, messageId, headers });
    done();
  }, done);
};
const login = { username: 'gate', password: 'sesame of the relay' };
const onAuth = (auth, _, done) => {
  const good = auth.username === login.username && auth.password === login.password;
  return good ? done(null, { user: auth.username }) : done(new Error('who are you?'));
};

const name = 'localhost';
const extensions = [{ name: 'basicConstraints', cA: false }, { name: 'subjectAltName', altNames: [{ type: 2, value: name }] }];
const { cert, private: key } = await generate([{ name: 'commonName', value: name }], { keySize: 2048, algorithm: 'sha256', extensions });
writeFileSync(join(folder, 'relay.pem'), cert);
const plain = new SMTPServer({ disabledCommands: ['AUTH', 'STARTTLS'], onData: onData('mail') });
const guarded = new SMTPServer({ key, cert, onAuth, onData: onData('guarded') });
guarded.on('error', () => {});

const listen = server => new Promise(ready => { const listening = server.listen(0, '127.0.0.1', () => ready(listening.address().port)); });
console.log(JSON.stringify({ web: await listen(web), plain: await listen(plain), guarded: await listen(guarded) }));
