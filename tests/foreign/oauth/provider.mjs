// An OpenID provider, made with the certified library: `provider.mjs PORT jwt|opaque`. People log in by their name; tokens
// for a resource are JSON Web Tokens of RFC 9068, or say nothing by themselves. What is here of features is what a
// company's provider has.
import { createRemoteJWKSet, jwtVerify } from 'jose';
import Provider from 'oidc-provider';

const [port, format] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

const GROUPS = { alice: ['staff', 'leads'], carol: ['staff', 'leads'], erin: ['staff'], olga: ['operators'] };

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'nightly',
      client_secret: 'the secret of the nightly job',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    },
    {
      client_id: 'ide',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      redirect_uris: ['http://127.0.0.1:1/callback'],
      grant_types: ['authorization_code', 'refresh_token'],
    },
    {
      client_id: 'gateway',
      client_secret: 'secret-of-the-gateway',
      grant_types: [EXCHANGE],
      redirect_uris: [],
      response_types: [],
    },
    {
      // Wherever it is on this machine: of native clients the port does not matter.
      client_id: 'console',
      client_secret: 'secret of the console',
      application_type: 'native',
      redirect_uris: ['http://127.0.0.1/console/sign-in/callback'],
      grant_types: ['authorization_code'],
    },
  ],
  claims: { openid: ['sub'], groups: ['groups'] },
  // Whoever signs in to the console is not asked for elsewhere.
  conformIdTokenClaims: false,
  extraTokenClaims: (_, token) => token.extra,
  // Clients ask for all that the resource says, and for what they can renew their tokens with.
  scopes: ['openid', 'offline_access', 'groups', 'mcp', 'mcp:write'],
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, groups: GROUPS[id] ?? [] }) }),
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    devInteractions: { enabled: true },
    registration: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, resource) => ({
        scope: 'mcp mcp:write',
        audience: resource,
        accessTokenTTL: 600,
        accessTokenFormat: format,
        jwt: { sign: { alg: 'RS256' } },
      }),
      useGrantedResource: () => true,
    },
  },
  pkce: { required: () => true },
});

// RFC 8693, for tokens of this provider that are JSON Web Tokens: the new one is of the same person, for the resource that
// is asked for. What the gateway says of the agent that acts is checked by the keys that it publishes.
const signedBy = (url, options) => token => jwtVerify(token, createRemoteJWKSet(new URL(url)), options);
const ofUs = signedBy(`${issuer}/jwks`, { issuer, typ: 'at+jwt' });
const PARAMETERS = ['subject_token', 'subject_token_type', 'requested_token_type', 'actor_token', 'actor_token_type', 'resource', 'audience', 'scope'];
provider.registerGrantType(EXCHANGE, async ctx => {
  const { params, client } = ctx.oidc;
  const { payload } = await ofUs(params.subject_token);
  const act = params.actor_token && (await actor(params.actor_token)).payload.sub;
  const server = new provider.ResourceServer(params.resource, {
    scope: 'mcp mcp:write',
    audience: params.resource,
    accessTokenTTL: 120,
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg: 'RS256' } },
  });
  const token = new provider.AccessToken({ accountId: payload.sub, client, gty: 'exchange', scope: params.scope, extra: act && { act: { sub: act } } });
  token.resourceServer = server;
  ctx.body = {
    access_token: await token.save(),
    issued_token_type: ACCESS_TOKEN,
    token_type: 'Bearer',
    expires_in: token.expiration,
  };
}, PARAMETERS, []);

// The gateway is where its tokens say; of a real company it would be configured.
async function actor(token) {
  const { iss } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
  const keys = `${iss}/.well-known/callgate-jwks.json`;
  return signedBy(keys, { issuer: iss, audience: `${issuer}/token`, typ: 'JWT' })(token);
}

provider.listen(Number(port), '127.0.0.1');
