// Runs a plan over one session and prints one JSON line per step. The argument says with which client: the name of a
// module beside this one, which knows the client and nothing of plans.
//
// Standard input: {"url" | "command": [...], "token"?, "protocol"?: "auto" | "legacy" | "2026-07-28", "timeout_ms"?, "steps":
// [{"op": "list"} | {"op": "call", "tool", "arguments" | null, "progress"?, "cancel_ms"?} | {"op": "offers"} |
// {"op": "read", "uri"} | {"op": "prompt", "name", "arguments"} | {"op": "changed"} | {"op": "wait_ms", "ms"}], "listens"?,
// "pages"?: what to answer when asked to show one}.
// The first line of the output is about the connection, then one line per step, whatever happens: a driver that hangs or
// stops early would hide what a test wants to see.

import { readFileSync } from 'node:fs';

const { connect } = await import(`./${process.argv[2]}.mjs`);
const plan = JSON.parse(readFileSync(0, 'utf8'));
const timeout = plan.timeout_ms ?? 20_000;

const say = line => process.stdout.write(`${JSON.stringify(line)}\n`);

// The status of an HTTP answer is in an error's data, or is its code.
const statusOf = ({ code, data }) => data?.status ?? (code >= 400 && code < 600 ? code : undefined);

const failure = (op, error) => ({
  op,
  error: {
    code: error.code ?? error.name,
    ...(statusOf(error) && { status: statusOf(error) }),
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

async function callTool(session, step) {
  const progress = [];
  const options = { timeout, ...(step.progress && { onprogress: heard => progress.push(heard.progress) }) };
  const result = await session.call({ name: step.tool, arguments: step.arguments ?? undefined }, options, step.cancel_ms);
  if (result === undefined) {
    return { op: 'call', cancelled: true };
  }
  return {
    op: 'call',
    isError: Boolean(result.isError),
    text: (result.content ?? []).filter(part => part.type === 'text').map(part => part.text).join('\n'),
    structured: result.structuredContent ?? null,
    meta: result._meta ?? null,
    progress,
    shown: session.shown?.splice(0),
  };
}

const said = (op, texts) => ({ op, text: texts.join('\n') });

function runStep(session, step) {
  switch (step.op) {
    case 'list':
      return within(timeout + 1000, session.tools({ timeout })).then(tools => ({ op: 'list', tools }));
    case 'call':
      return within(timeout + 1000, callTool(session, step));
    case 'offers':
      return within(timeout + 1000, session.offers({ timeout })).then(offers => ({ op: 'offers', ...offers }));
    case 'read':
      return within(timeout + 1000, session.read(step.uri, { timeout })).then(texts => said('read', texts));
    case 'prompt':
      return within(
        timeout + 1000,
        session.prompt({ name: step.name, arguments: step.arguments ?? {} }, { timeout }),
      ).then(texts => said('prompt', texts));
    case 'changed':
      return within(timeout, session.change()).then(tools => ({ op: 'changed', tools }));
    case 'wait_ms':
      return sleep(step.ms).then(() => ({ op: 'wait_ms' }));
    default:
      return Promise.reject(new Error(`unknown op ${step.op}`));
  }
}

let session;
let lost;
try {
  session = await within(timeout, connect(plan, { timeout }));
  say({ op: 'connect', ...session.hello });
} catch (error) {
  lost = error;
  say(failure('connect', error));
}
for (const step of plan.steps) {
  say(lost ? failure(step.op, lost) : await runStep(session, step).catch(error => failure(step.op, error)));
}
await within(1000, session?.close()).catch(() => {});
process.exit(0);
