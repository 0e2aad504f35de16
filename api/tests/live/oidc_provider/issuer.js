// A real token issuer: `oidc-provider` on the port of the first argument. Its key is in the file of the
// second one, so that it outlives a restart. A line on standard input makes it rotate its key, or
// misbehave: hang, large, redirect URL, well.
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import readline from "node:readline";
import Provider from "oidc-provider";

const [port, file] = process.argv.slice(2);
const issuer = `http://localhost:${port}`;
let [mode, target] = ["well"];
let answer;

function start(rotates) {
  if (rotates || !existsSync(file)) {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const jwk = { ...privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", alg: "ES256" };
    writeFileSync(file, JSON.stringify(jwk));
  }
  const provider = new Provider(issuer, {
    jwks: { keys: [JSON.parse(readFileSync(file, "utf8"))] },
    clients: ["workload", "program"].map((client_id) => ({
      client_id,
      client_secret: "known to its platform only",
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: "ES256",
    })),
    ttl: { ClientCredentials: 3600 },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, audience) => ({
          scope: "", audience, accessTokenFormat: "jwt", jwt: { sign: { alg: "ES256" } },
        }),
      },
    },
    formats: { // a program gets access tokens, a workload tokens of no particular type
      customizers: {
        jwt: (_, token, parts) => {
          if (token.clientId === "workload") parts.header = { typ: "JWT" };
        },
      },
    },
  });
  answer = provider.callback();
}

const misbehave = {
  hang: () => {},
  large: (response) => response.end(`{"keys": "${"x".repeat(5_000_000)}"}`),
  redirect: (response) => response.writeHead(302, { Location: target }).end(),
};

start(false);
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  if (line === "rotate") start(true);
  else [mode, target] = line.split(" ");
  console.log("done");
});
http.createServer((request, response) => {
  if (mode === "well" || request.url === "/token") answer(request, response);
  else misbehave[mode](response);
}).listen(port, "127.0.0.1");
