// Log in, introspect and revoke with a private JWK, and print what came of it.
// Arguments: the issuer, the client id, the JWK, its algorithm, and whether to name the key.
import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto; // before Node.js 20
const client = await import("openid-client");

const [issuer, clientId, text, algorithm, named] = process.argv.slice(2);
const PARAMETERS = {
  ES256: { name: "ECDSA", namedCurve: "P-256" },
  ES384: { name: "ECDSA", namedCurve: "P-384" },
  ES512: { name: "ECDSA", namedCurve: "P-521" },
  RS256: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
  PS256: { name: "RSA-PSS", hash: "SHA-256" },
  EdDSA: { name: "Ed25519" },
};
const { kid, ...jwk } = JSON.parse(text);
const key = await crypto.subtle.importKey("jwk", jwk, PARAMETERS[algorithm], false, ["sign"]);
const authentication = client.PrivateKeyJwt(named ? { key, kid } : key);
const options = { execute: [client.allowInsecureRequests], algorithm: "oauth2" };

try {
  const config = await client.discovery(new URL(issuer), clientId, {}, authentication, options);
  const tokens = await client.clientCredentialsGrant(config, { scope: "read" });
  const told = await client.tokenIntrospection(config, tokens.access_token);
  await client.tokenRevocation(config, tokens.access_token);
  const after = await client.tokenIntrospection(config, tokens.access_token);
  console.log(JSON.stringify({ scope: tokens.scope, sub: told.sub, after: after.active }));
} catch (error) {
  console.log(JSON.stringify({ status: error.status, code: error.code }));
}
