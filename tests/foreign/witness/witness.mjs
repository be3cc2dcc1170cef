// A witness (C2SP tlog-witness v1.0.0), as strict as the text is, with the cryptography of Node: `node witness.mjs VKEY` prints its port
// and its own key. What a log says first is believed; what it says later has to grow out of that. `GET /seen` tells what it was asked,
// `POST /forget` has it forget the log, `POST /forge` has it sign something else, `POST /mend` ends that.
import { createHash, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import { createServer } from 'node:http';

const sha256 = (...parts) => createHash('sha256').update(Buffer.concat(parts.map(part => Buffer.from(part)))).digest();
const DER = Buffer.from('302a300506032b6570032100', 'hex');
const idOf = (name, kind, key) => sha256(name, '\n', [kind], key).subarray(0, 4);

const readKey = text => {
  const [name, id, ...rest] = text.split('+');
  const bytes = Buffer.from(rest.join('+'), 'base64');
  const key = bytes.subarray(1);
  if (bytes[0] !== 1 || idOf(name, 1, key).toString('hex') !== id) throw new Error('not a key');
  return { name, id: Buffer.from(id, 'hex'), key: createPublicKey({ key: Buffer.concat([DER, key]), format: 'der', type: 'spki' }) };
};

const log = readKey(process.argv[2]);
const name = 'witness.example/w1';
const own = generateKeyPairSync('ed25519');
const ownBytes = own.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
const ownId = idOf(name, 4, ownBytes);
const vkey = `${name}+${ownId.toString('hex')}+${Buffer.concat([Buffer.from([4]), ownBytes]).toString('base64')}`;

const refuse = (status, body = '', type = 'text/plain') => { throw Object.assign(new Error(body), { status, type }); };
const hash = (left, right) => sha256([1], left, right);

// RFC 9162, 2.1.4.2.
const consistent = (first, second, firstRoot, secondRoot, proof) => {
  if (first === second) return proof.length === 0 && firstRoot.equals(secondRoot);
  if (first === 0n) return proof.length === 0;
  if (proof.length === 0) return false;
  const path = (first & (first - 1n)) === 0n ? [firstRoot, ...proof] : [...proof];
  let [fn, sn] = [first - 1n, second - 1n];
  while (fn & 1n) [fn, sn] = [fn >> 1n, sn >> 1n];
  let [fr, sr] = [path[0], path[0]];
  for (const c of path.slice(1)) {
    if (sn === 0n) return false;
    if ((fn & 1n) || fn === sn) {
      [fr, sr] = [hash(c, fr), hash(c, sr)];
      while (!(fn & 1n) && fn !== 0n) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else {
      sr = hash(sr, c);
    }
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  return sn === 0n && fr.equals(firstRoot) && sr.equals(secondRoot);
};

let last;
let forges = false;
const seen = [];

const add = body => {
  const split = body.indexOf('\n\n');
  if (split < 0) refuse(400, 'no empty line');
  const [old, ...proof] = body.slice(0, split).split('\n');
  if (!/^old (0|[1-9][0-9]*)$/.test(old) || proof.length > 63) refuse(400, 'no old size');
  const from = BigInt(old.slice(4));
  const hashes = proof.map(line => Buffer.from(line, 'base64'));
  if (hashes.some((one, index) => one.length !== 32 || one.toString('base64') !== proof[index])) refuse(400, 'no hash');
  const note = body.slice(split + 2);
  const end = note.indexOf('\n\n');
  if (end < 0 || !note.endsWith('\n')) refuse(400, 'no note');
  const text = note.slice(0, end + 1);
  const [origin, size, root] = text.split('\n');
  if (origin !== log.name) refuse(404);
  const ours = note.slice(end + 2).split('\n').filter(line => line.startsWith(`\u2014 ${origin} `)).map(line => Buffer.from(line.split(' ')[2], 'base64'));
  const signed = ours.some(bytes => bytes.subarray(0, 4).equals(log.id) && verify(null, Buffer.from(text), log.key, bytes.subarray(4)));
  if (!signed) refuse(403);
  if (!/^(0|[1-9][0-9]*)$/.test(size)) refuse(400, 'no size');
  const [to, rootHash] = [BigInt(size), Buffer.from(root, 'base64')];
  if (from > to) refuse(400, 'it shrinks');
  if (from !== (last?.size ?? 0n)) refuse(409, `${last?.size ?? 0n}\n`, 'text/x.tlog.size');
  if (from === to && last && !last.root.equals(rootHash)) refuse(409, `${last.size}\n`, 'text/x.tlog.size');
  if (!consistent(from, to, last?.root, rootHash, hashes)) refuse(422);
  last = { size: to, root: rootHash };
  const time = Math.floor(Date.now() / 1000);
  const message = Buffer.from(`cosignature/v1\ntime ${time}\n${forges ? 'another\n' : text}`);
  const stamp = Buffer.alloc(8);
  stamp.writeBigUInt64BE(BigInt(time));
  const signature = Buffer.concat([ownId, stamp, sign(null, message, own.privateKey)]);
  return `\u2014 ${name} ${signature.toString('base64')}\n`;
};

const server = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) body += chunk;
  switch (request.url) {
    case '/seen': return response.end(JSON.stringify({ size: Number(last?.size ?? 0n), seen }));
    case '/forget': last = undefined; return response.end();
    case '/forge': forges = true; return response.end();
    case '/mend': forges = false; return response.end();
    default: break;
  }
  if (request.url !== '/w/add-checkpoint' || request.method !== 'POST') return response.writeHead(404).end();
  try {
    const cosigned = add(body);
    seen.push({ status: 200, old: body.split('\n')[0] });
    return response.end(cosigned);
  } catch (error) {
    seen.push({ status: error.status ?? 500, old: body.split('\n')[0] });
    return response.writeHead(error.status ?? 500, { 'content-type': error.type ?? 'text/plain' }).end(error.message);
  }
});
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port, vkey })));
// It ends with whoever started it.
process.stdin.on('end', () => process.exit()).resume();
