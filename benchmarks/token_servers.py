"""Peers that only issue tokens: npm's oidc-provider and Debian's glewlwyd.

Clients log in with a secret or by an assertion, and get JWTs signed by ES256.
"""

import json
from base64 import b64encode, urlsafe_b64decode
from dataclasses import replace
from pathlib import Path
from secrets import token_urlsafe
from urllib.parse import urlencode

from client_keys import FORM, Signer
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from harness import Request, Server, run
from systems import LIFETIME, PEERS, System, names

SECRET, WRONG_SECRET = token_urlsafe(32), token_urlsafe(32)
REFUSED = (401, 403)


class TokenServer(System):
    """A server that issues tokens at one path, and has nothing to call with them."""

    path: str
    secrets = {"client": SECRET}
    wrong = {"client": WRONG_SECRET}
    keyed = "client"  # the kind of client that has a key
    form = {"grant_type": "client_credentials"}

    def audience(self, server: Server) -> str:
        """Return the audience of assertions."""
        raise NotImplementedError

    def login(self, client: str, secret: str) -> Request:
        credentials = b64encode(f"{client}:{secret}".encode()).decode()
        headers = {**FORM, "Authorization": f"Basic {credentials}"}
        return Request("POST", self.path, headers, urlencode(self.form).encode())

    def key_logins(self, server: Server, count: int) -> list[Request]:
        assert self.signer
        clients = names(self.keyed, self.clients, 1000)
        return self.signer.logins(self.path, clients, self.audience(server), count)

    def loads(self, server: Server) -> dict[str, list[Request]]:
        return {"login": self.logins("client")}

    def check(self, server: Server) -> None:
        name = self.names("client")[0]
        token = self.token(server.call(self.login(name, SECRET)))
        header, claims = (
            json.loads(urlsafe_b64decode(part + "==")) for part in token.split(".")[:2]
        )
        assert (header["alg"], claims["client_id"]) == ("ES256", name)
        assert claims["exp"] - claims["iat"] == LIFETIME
        (assertion,) = self.key_logins(server, 1)
        self.token(server.call(assertion))
        for refused in (
            self.login(name, self.wrong["client"]),
            self.login("no-such-client", SECRET),
            assertion,  # used already
        ):
            assert server.call(refused).status in REFUSED, self.name


class OIDCProvider(TokenServer):
    """npm's oidc-provider, with its clients in PostgreSQL. It has no database engine of its own."""

    name = "oidc-provider"
    needs = "npm"
    directory = PEERS / "oidc_provider"
    engines = ("PostgreSQL",)
    path = "/token"
    keyed = "keyed"

    def audience(self, server: Server) -> str:
        return f"http://127.0.0.1:{server.port}"

    def command(self, port: int, workers: int) -> list[str]:
        assert workers == 1
        return ["node", "server.js", str(port)]

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"NODE_ENV": "production"}

    def prepare(self, clients: int) -> None:
        run(["npm", "ci", "--no-audit", "--no-fund"], self.directory, self.environment)
        self.signer = Signer()
        payload = {
            "client_secret": SECRET,
            "grant_types": ["client_credentials"],
            "redirect_uris": [],
            "response_types": [],
            "id_token_signed_response_alg": "ES256",
            "scope": "read",
        }
        signed = {
            **{name: payload[name] for name in payload if name != "client_secret"},
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [self.signer.jwk | {"kid": self.signer.kid}]},
        }
        self.clients = clients
        self.database.execute("CREATE TABLE client (client_id text PRIMARY KEY, payload jsonb)")
        self.database.execute("""
            CREATE TABLE kept (
                model text, id text, payload jsonb, expires_at timestamptz, PRIMARY KEY (model, id)
            )
        """)
        for name, values in {"client": payload, "keyed": signed}.items():
            insert = f"INSERT INTO client VALUES ('{name}', '{json.dumps(values)}')"  # noqa: S608
            self.database.execute(insert)
            self.database.clone("client", "client_id", name, name, clients)


class Glewlwyd(TokenServer):
    """Debian's glewlwyd, on the tables that its package installs.

    A secret is a property of the client, kept in the clear: the quicker of its two ways, as the
    other one computes a slow hash. It keeps each token too, and waits for the disk to have it.
    """

    name = "glewlwyd"
    needs = "glewlwyd"
    path = "/api/oidc/token"
    form = TokenServer.form | {"scope": "read"}
    url = "http://localhost"  # that it believes to be reached at
    tables = Path("/usr/share/dbconfig-common/data/glewlwyd/install")

    def audience(self, server: Server) -> str:
        return self.url + self.path

    def command(self, port: int, workers: int) -> list[str]:
        assert workers == 1
        return ["glewlwyd", "--env-variables", "--port", str(port)]

    @property
    def environment(self) -> dict[str, str]:
        database = (
            {"TYPE": "sqlite3", "SQLITE3_PATH": self.database.url.removeprefix("sqlite:///")}
            if self.database.engine == "SQLite"
            else {"TYPE": "postgre", "POSTGRE_CONNINFO": self.database.url}
        )
        modules = {"USER": "user", "CLIENT": "client", "AUTH_SCHEME": "scheme", "PLUGIN": "plugin"}
        settings = {
            "BIND_ADDRESS": "127.0.0.1",
            "EXTERNAL_URL": self.url,
            "LOG_MODE": "console",
            "LOG_LEVEL": "INFO",  # the package's default: a line for each login
            **{f"DATABASE_{name}": value for name, value in database.items()},
            **{f"{name}_MODULE_PATH": f"/usr/lib/glewlwyd/{of}" for name, of in modules.items()},
        }
        return super().environment | {f"GLWD_{name}": value for name, value in settings.items()}

    def prepare(self, clients: int) -> None:
        self.signer = Signer()
        self.clients = clients
        if self.database.engine == "SQLite":
            script = (self.tables / "sqlite3").read_text()
        else:
            files = [self.tables / name for name in ("pgsql", "postgre.default.sql")]
            script = ";".join(["CREATE EXTENSION pgcrypto", *(file.read_text() for file in files)])
        self.database.run_script(script)
        self.database.run_script(f"""
            INSERT INTO g_plugin_module_instance (gpmi_module, gpmi_name, gpmi_parameters)
                VALUES ('oidc', 'oidc', '{json.dumps(self.plugin())}');
            INSERT INTO g_scope (gs_name, gs_password_required) VALUES ('read', 0);
            INSERT INTO g_client_scope (gcs_name) VALUES ('read');
            INSERT INTO g_client (gc_client_id, gc_confidential) VALUES ('client', 1)
        """)  # noqa: S608 (made of constants)
        identity = {"gc_id": "1000000 + i"}
        self.database.clone("g_client", "gc_client_id", "client", "client", clients, **identity)
        properties = (
            ("authorization_type", "client_credentials"),
            ("token_endpoint_auth_method", "client_secret_basic"),
            ("token_endpoint_auth_method", "private_key_jwt"),
            ("client_secret", SECRET),
            ("jwks", json.dumps({"keys": [self.signer.jwk | {"kid": self.signer.kid}]})),
        )
        values = ", ".join(f"('{name}', '{value}')" for name, value in properties)
        self.database.run_script(f"""
            INSERT INTO g_client_property (gc_id, gcp_name, gcp_value)
                WITH properties(name, value) AS (VALUES {values})
                SELECT gc_id, name, value FROM g_client, properties;
            INSERT INTO g_client_scope_client (gc_id, gcs_id)
                SELECT gc_id, gcs_id FROM g_client, g_client_scope;
            ANALYZE
        """)  # noqa: S608

    def plugin(self) -> dict[str, object]:
        """Return the parameters of its OpenID Connect plugin, which issues the tokens."""
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return {
            "iss": self.url,
            "jwt-type": "ecdsa",
            "jwt-key-size": "256",
            "key": private.decode(),
            "cert": public.decode(),
            "access-token-duration": LIFETIME,
            "allow-non-oidc": True,
            "auth-type-client-enabled": True,
            "client-jwks-parameter": "jwks",
            "request-parameter-allow": True,
        }

    def key_logins(self, server: Server, count: int) -> list[Request]:
        """Return the logins with the scope, without which it issues no token."""
        return [
            replace(login, body=login.body + b"&scope=read")
            for login in super().key_logins(server, count)
        ]
