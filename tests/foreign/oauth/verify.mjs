// What a server does that takes only signed tokens: `verify.mjs KEYS ISSUER AUDIENCE TYPE TOKEN…` checks each by the keys at
// the address KEYS, and prints what they say, one JSON object a line.
import { createRemoteJWKSet, jwtVerify } from 'jose';

const [keys, issuer, audience, typ, ...tokens] = process.argv.slice(2);
const published = createRemoteJWKSet(new URL(keys));
for (const token of tokens) {
  const requiredClaims = ['exp', 'iat', 'jti', 'sub'];
  const { payload } = await jwtVerify(token, published, { issuer, audience, typ, requiredClaims });
  process.stdout.write(`${JSON.stringify(payload)}\n`);
}
