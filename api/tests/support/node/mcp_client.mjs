// Log in, list the tools of an MCP server and call one, with npm's SDK.
// Arguments: the server's address, issuer, client id, client secret.
import { Client, ClientCredentialsProvider, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const [url, expectedIssuer, clientId, clientSecret] = process.argv.slice(2);
const authProvider = new ClientCredentialsProvider({ clientId, clientSecret, expectedIssuer });
const client = new Client({ name: "test", version: "1" });
await client.connect(new StreamableHTTPClientTransport(new URL(url), { authProvider }));
const { tools } = await client.listTools();
const { content } = await client.callTool({ name: "add", arguments: { a: 2, b: 3 } });
console.log(JSON.stringify([tools.map((tool) => tool.name), content[0].text, authProvider.tokens().access_token]));
await client.close();
