// An object store with the bucket `evidence`, which replaces nothing that it has, and takes nothing but what Amazon's own code signs the
// same: `node store.mjs FOLDER` keeps what is put there in the folder and prints its port.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { Sha256 } from '@aws-crypto/sha256-js';
import { HttpRequest } from '@smithy/protocol-http';
import { SignatureV4 } from '@smithy/signature-v4';

const CHECKSUM = 'x-amz-checksum-sha256';
// What is put is not part of what is signed.
const CONTENT = 'x-amz-content-sha256';
const [folder] = process.argv.slice(2);
const signer = new SignatureV4({
  credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret-of-the-store' },
  region: 'eu-central-1', service: 's3', sha256: Sha256, uriEscapePath: false,
});

const isSigned = async (asked, url) => {
  const said = Object.fromEntries(url.searchParams);
  const named = (said['X-Amz-SignedHeaders'] ?? '').split(';');
  const at = (said['X-Amz-Date'] ?? '').replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5');
  const expiresIn = Number(said['X-Amz-Expires']);
  if (!named.includes('host') || !(Date.now() < Date.parse(at) + expiresIn * 1000)) return false;
  const headers = Object.fromEntries(named.map(name => [name, asked.headers[name] ?? '']));
  headers[CONTENT] = 'UNSIGNED-PAYLOAD';
  const request = new HttpRequest({ method: asked.method, protocol: 'http:', hostname: '127.0.0.1', path: url.pathname, headers });
  const options = {
    expiresIn, signingDate: new Date(at), unhoistableHeaders: new Set([CHECKSUM, CONTENT]), unsignableHeaders: new Set([CONTENT]),
  };
  const expected = await signer.presign(request, options);
  return expected.query['X-Amz-Signature'] === said['X-Amz-Signature'];
};

const answer = async (asked, body) => {
  const url = new URL(asked.url, 'http://127.0.0.1');
  const path = decodeURIComponent(url.pathname).split('/').slice(1);
  if (path.shift() !== 'evidence') return [404];
  if (!await isSigned(asked, url)) return [403];
  const file = join(folder, path.join(' of '));
  if (asked.method === 'GET') return existsSync(file) ? [200, readFileSync(file)] : [404];
  if (asked.headers[CHECKSUM] !== createHash('sha256').update(body).digest('base64')) return [400];
  if (existsSync(file)) return [409];
  writeFileSync(file, body);
  return [200];
};

mkdirSync(folder, { recursive: true });
const server = createServer(async (asked, says) => {
  const body = [];
  for await (const part of asked) body.push(part);
  const [status, content] = await answer(asked, Buffer.concat(body));
  says.writeHead(status).end(content);
});
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
process.stdin.on('end', () => process.exit()).resume();
