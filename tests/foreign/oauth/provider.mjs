// An OpenID provider, made with the certified library: `provider.mjs PORT jwt|opaque`. People log in by their name; tokens
// for a resource are JSON Web Tokens of RFC 9068, or say nothing by themselves. What is here of features is what a
// company's provider has.
import Provider from 'oidc-provider';

const [port, format] = process.argv.slice(2);

const provider = new Provider(`http://127.0.0.1:${port}`, {
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
      grant_types: [],
      redirect_uris: [],
      response_types: [],
    },
  ],
  claims: { openid: ['sub'] },
  // Clients ask for all that the resource says, and for what they can renew their tokens with.
  scopes: ['openid', 'offline_access', 'mcp', 'mcp:write'],
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
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
provider.listen(Number(port), '127.0.0.1');
