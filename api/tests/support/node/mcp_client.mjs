// Log in, list the tools of an MCP server and call one, with npm's SDK.
// Arguments: the server's address, issuer, client id, and a client secret or a private key.
import {
  Client,
  ClientCredentialsProvider,
  PrivateKeyJwtProvider,
  StreamableHTTPClientTransport,
} from "@modelcontextprotocol/client";

const [url, expectedIssuer, clientId, credential] = process.argv.slice(2);
const authProvider = credential.startsWith("-----BEGIN")
  ? new PrivateKeyJwtProvider({ clientId, privateKey: credential, algorithm: "ES256", expectedIssuer })
  : new ClientCredentialsProvider({ clientId, clientSecret: credential, expectedIssuer });
const client = new Client({ name: "test", version: "1" });
await client.connect(new StreamableHTTPClientTransport(new URL(url), { authProvider }));
const { tools } = await client.listTools();
const { content } = await client.callTool({ name: "add", arguments: { a: 2, b: 3 } });
console.log(JSON.stringify([tools.map((tool) => tool.name), content[0].text, authProvider.tokens().access_token]));
await client.close();
