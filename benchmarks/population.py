"""The service as production runs it: clients of every kind by the million, keys, and APIs."""

import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from client_keys import Signer, login
from databases import Database
from harness import Request, Server
from systems import ISSUER, Ours

REDIS = "redis://127.0.0.1:6379/15"
# Of all clients, those that log in with a chosen secret, with a key, as a workload, and with a
# generated secret for an API or for this service. The most are last, as each `clone` analyzes all.
SHARES = {"chosen": 0.1, "key": 0.1, "identity": 0.1, "granted": 0.1, "secret": 0.6}
PER_RESOURCE = 1000  # clients
FIRST = 1_000_001  # the number in the name of the first clone
OWN_KEYS = 10_000  # clients that have a key of their own; the others share one
PLATFORM = "https://kubernetes.default.svc.cluster.local"
SUBJECT = "system:serviceaccount:default:"
RESOURCE = "https://api.example.com/v1"
SCOPES = ("--scope", "read", "--scope", "write")


class Population(Ours):
    """The service with its clients, on the settings of `deploy/`.

    Failures are counted in Redis, and the workers add up their metrics in a directory. Usage is
    recorded, as nothing turns that off.
    """

    def __init__(self, database: Database, redis: str) -> None:
        super().__init__(database)
        self.extra = {"REDIS_URL": redis}
        self.order: dict[str, list[int]] = {}

    @contextmanager
    def serving(self, cpus: Sequence[int], workers: int = 1) -> Iterator[Server]:
        with tempfile.TemporaryDirectory() as directory:
            self.extra["PROMETHEUS_MULTIPROC_DIR"] = directory
            with super().serving(cpus, workers) as server:
                yield server

    def prepare(self, clients: int) -> None:
        """Make clients, a tenth of them with keys, and an API for each thousand."""
        self.clients = clients
        for kind in SHARES:
            numbers = range(FIRST, FIRST + self.count(kind))
            self.order[kind] = random.Random(clients).sample(numbers, len(numbers))
        self.migrate()
        self.make_clients()
        self.make_keys()
        self.make_identities()
        self.make_resources()
        self.database.tidy()

    def count(self, kind: str) -> int:
        return round(SHARES[kind] * self.clients)

    def in_use(self, most: int) -> dict[str, int]:
        """Return how many clients of each kind there are, and no more than `most`."""
        return {kind: min(most, self.count(kind)) for kind in SHARES}

    def names(self, kind: str, sample: int = 1000) -> list[str]:
        """Return some of the clients of a kind, spread over the table at random."""
        return [f"{kind}-{number}" for number in self.order[kind][:sample]]

    # Rows

    def make_clients(self) -> None:
        self.secrets = {
            "secret": self.create("secret"),
            "granted": self.create("granted", *SCOPES),
            "chosen": self.choose("chosen"),
            "prometheus": self.create("prometheus", "--scope", "metrics"),
        }
        for kind in ("key", "identity"):
            self.python("manage.py", "createclient", kind, "--no-secret")
        for kind in SHARES:
            self.clone(kind, kind, self.count(kind))
        # A client's first use of its secret makes this row, which all later logins read.
        self.database.execute("""
            INSERT INTO api_clientprofile (client_id, auth_method, secret_used_at)
            SELECT id, '', date_joined FROM auth_user
            WHERE username LIKE 'secret-%' OR username LIKE 'granted-%'
        """)

    def make_keys(self) -> None:
        """Give each client of the kind a key; those that will log in get one of their own."""
        shared = Signer()
        self.signers = {name: Signer() for name in self.names("key", OWN_KEYS)}
        self.database.execute(f"""
            INSERT INTO api_clientkey (client_id, kid, jwk_kid, jwk, name, created_at)
            SELECT id, '{shared.kid}', '', '{json.dumps(shared.jwk)}', '', date_joined
            FROM auth_user WHERE username LIKE 'key-%'
        """)  # noqa: S608 (made of constants)
        changes = [
            f"""
                UPDATE api_clientkey SET kid = '{signer.kid}', jwk = '{json.dumps(signer.jwk)}'
                WHERE client_id = (SELECT id FROM auth_user WHERE username = '{name}')
            """  # noqa: S608
            for name, signer in self.signers.items()
        ]
        self.database.run_script(";".join(changes))

    def make_identities(self) -> None:
        """Trust a cluster by the keys it gives, and make a client of each service account."""
        self.platform = Signer()
        jwk = self.platform.jwk | {"kid": self.platform.kid}
        with tempfile.NamedTemporaryFile("w") as keys:
            json.dump({"keys": [jwk]}, keys)
            keys.flush()
            self.python("manage.py", "trustissuer", PLATFORM, "--jwks", keys.name)
        self.database.execute(f"""
            INSERT INTO api_workloadidentity (client_id, issuer_id, subject, claims, created_at)
            SELECT client.id, issuer.id, '{SUBJECT}' || client.username, '{{}}', client.date_joined
            FROM auth_user AS client, api_trustedissuer AS issuer
            WHERE client.username LIKE 'identity-%'
        """)  # noqa: S608

    def make_resources(self) -> None:
        """Make APIs, each with a server, half with scopes, and grant each client one of them."""
        self.resources = max(1, self.clients // PER_RESOURCE)
        self.python("manage.py", "createresource", RESOURCE, *SCOPES)
        server = (
            "(SELECT id FROM auth_user WHERE username = 'secret-' || CAST(1000000 + i AS TEXT))"
        )
        self.database.clone(
            "api_resource", "identifier", RESOURCE, RESOURCE, self.resources, server_id=server
        )
        self.database.run_script(f"""
            INSERT INTO api_resource_scopes (resource_id, group_id)
                SELECT copy.id, understood.group_id
                FROM api_resource AS copy, api_resource_scopes AS understood
                WHERE copy.server_id IS NOT NULL AND copy.id % 2 = 0;
            INSERT INTO auth_user_groups (user_id, group_id)
                SELECT copy.id, held.group_id FROM auth_user AS copy, auth_user_groups AS held
                WHERE copy.username LIKE 'granted-%'
                AND held.user_id = (SELECT id FROM auth_user WHERE username = 'granted');
            INSERT INTO api_resourcegrant (client_id, resource_id, is_default)
                SELECT client.id, resource.id, FALSE
                FROM auth_user AS client JOIN api_resource AS resource
                ON resource.identifier = '{RESOURCE}-' || CAST(
                    {FIRST} + CAST(SUBSTR(client.username, 9) AS INTEGER) % {self.resources}
                AS TEXT)
                WHERE client.username LIKE 'granted-%'
        """)  # noqa: S608

    # Requests

    def resource(self, client: str) -> str:
        """Return the API that a client is granted."""
        number = int(client.removeprefix("granted-"))
        return f"{RESOURCE}-{FIRST + number % self.resources}"

    def resource_server(self, resource: str) -> str:
        return f"secret-{resource.removeprefix(f'{RESOURCE}-')}"

    def resource_login(self, client: str) -> Request:
        credentials = {"client_id": client, "client_secret": self.secrets["granted"]}
        return Request.post_json("/login", credentials | {"resource": self.resource(client)})

    def key_login(self, client: str) -> Request:
        """Return a login that is good once."""
        return login("/login", self.signers[client].assertion(client, ISSUER))

    def identity_login(self, client: str) -> Request:
        token = self.platform.assertion(SUBJECT + client, ISSUER, issuer=PLATFORM)
        return login("/login", token)
