// oidc-provider on the port of the first argument. It issues JWT access tokens, signed by ES256, for
// client credentials. Its clients and all else that it keeps are in PostgreSQL, at DATABASE_URL, as
// its documentation asks for: an adapter, which is asked for the client at each request.
import { generateKeyPairSync, randomUUID } from "node:crypto";
import pg from "pg";
import Provider from "oidc-provider";

const port = process.argv[2];
const issuer = `http://127.0.0.1:${port}`;
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });

class Adapter {
  constructor(model) {
    this.model = model;
  }

  async find(id) {
    // A name makes it a prepared statement.
    const { rows } = this.model === "Client"
      ? await pool.query({ name: "client", text: "SELECT payload FROM client WHERE client_id = $1", values: [id] })
      : await pool.query({
        name: "kept",
        text: "SELECT payload FROM kept WHERE model = $1 AND id = $2 AND expires_at > now()",
        values: [this.model, id],
      });
    if (!rows.length) return undefined;
    return this.model === "Client" ? { ...rows[0].payload, client_id: id } : rows[0].payload;
  }

  async upsert(id, payload, expiresIn) {
    await pool.query({
      name: "keep",
      text: `INSERT INTO kept (model, id, payload, expires_at)
        VALUES ($1, $2, $3, now() + $4 * interval '1 second')
        ON CONFLICT (model, id) DO UPDATE SET payload = excluded.payload, expires_at = excluded.expires_at`,
      values: [this.model, id, payload, expiresIn],
    });
  }
}

const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const provider = new Provider(issuer, {
  adapter: Adapter,
  jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", alg: "ES256" }] },
  clientAuthMethods: ["client_secret_basic", "client_secret_post", "private_key_jwt"],
  scopes: ["read"],
  ttl: { ClientCredentials: 300 },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => "https://api.example.com",
      getResourceServerInfo: (_, audience) => ({
        scope: "read", audience, accessTokenFormat: "jwt", accessTokenTTL: 300, jwt: { sign: { alg: "ES256" } },
      }),
    },
  },
});
provider.listen(port, "127.0.0.1");
