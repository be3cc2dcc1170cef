// The command line of the MCP Inspector, for `drive.mjs`: each step is a run of it, with a session of its own.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const LAUNCHER = join(
  import.meta.dirname,
  'node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js',
);
// A tool's error, told beside the result.
const TOOL_IS_ERROR = 5;

function run(program, home, cancelMs) {
  const child = spawn(process.execPath, program, {
    // It keeps files in the home folder, and asks nobody to log in.
    env: { PATH: process.env.PATH, HOME: home },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { out: '', err: '' };
  child.stdout.on('data', data => (said.out += data));
  child.stderr.on('data', data => (said.err += data));
  const timer = cancelMs === undefined ? undefined : setTimeout(() => child.kill('SIGINT'), cancelMs);
  return new Promise((done, failed) => {
    child.on('error', failed);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      done({ code, signal, ...said });
    });
  });
}

function read({ code, out, err }) {
  const told = (code === 0 || code === TOOL_IS_ERROR) && out ? JSON.parse(out).result : undefined;
  if (!told) {
    throw Object.assign(new Error(err || out || `exit ${code}`), err ? JSON.parse(err).error : {});
  }
  if (Boolean(told.isError) !== (code === TOOL_IS_ERROR)) {
    throw new Error(`exit ${code} of ${out}`);
  }
  return told;
}

export async function connect({ url, token, protocol }) {
  const home = mkdtempSync(join(tmpdir(), 'inspector-'));
  process.on('exit', () => rmSync(home, { recursive: true, force: true }));
  const era = ['auto', 'legacy'].includes(protocol) ? protocol : 'modern';
  const common = [LAUNCHER, '--cli', url, '--transport', 'http', '--protocol-era', era, '--format', 'json', '-q'];
  common.push('--stored-auth-only', '--header', `Authorization: Bearer ${token}`, '--method');
  const ask = async (...asked) => read(await run([...common, ...asked], home));
  const hello = await ask('initialize');
  return {
    hello: { client: 'inspector', ...hello },
    tools: async () => (await ask('tools/list')).tools.map(tool => tool.name),
    call: async ({ name, arguments: values }, _limits, cancelMs) => {
      const call = ['tools/call', '--tool-name', name, '--tool-args-json', JSON.stringify(values ?? {})];
      const ended = await run([...common, ...call], home, cancelMs);
      return ended.signal || ended.code === 130 ? undefined : read(ended);
    },
    offers: async () => ({
      resources: (await ask('resources/list')).resources.map(one => one.uri),
      templates: (await ask('resources/templates/list')).resourceTemplates.map(one => one.uriTemplate),
      prompts: (await ask('prompts/list')).prompts.map(one => one.name),
    }),
    read: async uri => (await ask('resources/read', '--uri', uri)).contents.map(part => part.text),
    prompt: async ({ name, arguments: values }) => {
      const pairs = Object.entries(values).flatMap(([key, value]) => ['--prompt-args', `${key}=${value}`]);
      return (await ask('prompts/get', '--prompt-name', name, ...pairs)).messages.map(said => said.content.text);
    },
    close: async () => {},
  };
}
