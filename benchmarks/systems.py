"""What is compared: how each system is set up, started, asked, and checked for equal work."""

import json
import os
import random
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from client_keys import Signer
from databases import ENGINES, Database
from harness import (
    CONNECTIONS,
    GRANIAN,
    PROJECT,
    SECRET_KEY,
    THREADS,
    Answer,
    Request,
    Server,
    free_port,
    run,
    serving,
)

PEERS = Path(__file__).resolve().parent / "peers"
DJANGO = ("--factory", "django.core.wsgi:get_wsgi_application")
ISSUER = "http://localhost:8000"  # the service's, as it is not configured
LIFETIME = 300  # seconds of a token
SECRET = "one secret, shared by every client of a peer"


def names(name: str, clients: int, sample: int) -> list[str]:
    """Return some of the clones that `Database.clone` made, spread over the table at random."""
    numbers = random.Random(clients).sample(range(1, clients + 1), min(sample, clients))
    return [f"{name}-{1000000 + number}" for number in numbers]


def bearer(token: str) -> Request:
    return Request("GET", "/private", {"Authorization": f"Bearer {token}"})


class System:
    """A service on a database of its own. `prepare` fills it, `serving` runs the server on it."""

    name: str
    needs = ""  # a command that must be installed, where the environment is not enough
    directory = PEERS
    settings = ""
    application: Sequence[str] = DJANGO
    secrets: dict[str, str]  # the kinds of client it has, and the secret of each,
    wrong: dict[str, str]  # and a secret that isn't its own, but might be by its form
    engines = ENGINES  # that it is measured on
    refuses_inactive = ""  # where it claims to: "login", "private", or nowhere
    token_key = "access_token"
    interpreter = sys.executable  # of the environment that the system is installed in
    signer: Signer | None = None  # of its clients' assertions, if they have keys

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clients = 0

    @property
    def environment(self) -> dict[str, str]:
        inherited = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        return inherited | {
            "DJANGO_SETTINGS_MODULE": self.settings,
            "DATABASE_URL": self.database.url,
            "SECRET_KEY": SECRET_KEY,
        }

    def python(self, *arguments: str) -> str:
        return run([self.interpreter, *arguments], self.directory, self.environment)

    def command(self, port: int, workers: int) -> list[str]:
        threads = str(THREADS[self.database.engine])
        return [
            *(self.interpreter, "-m", *GRANIAN, "--blocking-threads", threads),
            *("--workers", str(workers), "--port", str(port), *self.application),
        ]

    def serving(self, cpus: Sequence[int], workers: int = 1) -> AbstractContextManager[Server]:
        """Run the server, with so many workers, on the processors."""
        port = free_port()
        return serving(
            self.command(port, workers),
            port=port,
            directory=self.directory,
            environment=self.environment,
            cpus=cpus,
        )

    def prepare(self, clients: int) -> None:
        """Make the tables, and in them this many active clients and an inactive one."""
        raise NotImplementedError

    def login(self, client: str, secret: str) -> Request:
        raise NotImplementedError

    def names(self, kind: str, sample: int = 1000) -> list[str]:
        return names(kind, self.clients // len(self.secrets), sample)

    def logins(self, kind: str, sample: int = 1000) -> list[Request]:
        return [self.login(name, self.secrets[kind]) for name in self.names(kind, sample)]

    def token(self, answer: Answer) -> str:
        assert answer.status == 200, f"{self.name} refused a login: {answer}"
        return str(answer.json()[self.token_key])

    def loads(self, server: Server) -> dict[str, list[Request]]:
        """Return what each endpoint is loaded with; every connection has a token of its own."""
        kind = next(iter(self.secrets))
        tokens = [self.token(server.call(login)) for login in self.logins(kind, CONNECTIONS)]
        return {"login": self.logins(kind), "private": [bearer(token) for token in tokens]}

    def key_logins(self, server: Server, count: int) -> list[Request]:
        """Return so many logins by assertions. Each is good once."""
        raise NotImplementedError

    def check(self, server: Server) -> None:
        """Raise unless the system does the work that it is measured on."""
        for kind, secret in self.secrets.items():
            client = self.names(kind)[0]
            token = self.token(server.call(self.login(client, secret)))
            self.expect(server, bearer(token), 200)
            middle = len(token) - 20
            forged = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
            self.expect(server, bearer(forged), 401, 403)
            self.expect(server, self.login(client, self.wrong[kind]), 400, 401)
            self.expect(server, self.login(f"no-such-{kind}", secret), 400, 401)
        self.expect(server, Request("GET", "/private"), 401, 403)
        kind, secret = next(iter(self.secrets.items()))
        if self.refuses_inactive == "login":
            self.expect(server, self.login("inactive-1000001", secret), 401)
        elif self.refuses_inactive == "private":
            token = self.token(server.call(self.login("inactive-1000001", secret)))
            self.expect(server, bearer(token), 400, 401, 403)

    def expect(self, server: Server, request: Request, *statuses: int) -> None:
        answer = server.call(request)
        assert answer.status in statuses, f"{self.name}, {request.path}: {answer}"
        assert ("Welcome" in str(answer.body)) == (answer.status == 200), f"{self.name}: {answer}"


class Ours(System):
    """This project, configured by nothing but its database."""

    name = "authdemo"
    directory = PROJECT
    application = ("authdemo.wsgi:application",)
    refuses_inactive = "login"
    extra: dict[str, str] = {}

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"DJANGO_SETTINGS_MODULE": "authdemo.settings"} | self.extra

    def prepare(self, clients: int) -> None:
        """Make clients, half of them with a generated secret and half with a chosen one.

        All have the same key.
        """
        self.migrate()
        self.secrets = {"generated": self.create("generated"), "chosen": self.choose("chosen")}
        self.wrong = {"generated": self.create("other"), "chosen": "baz"}
        self.clients = clients
        for kind in self.secrets:
            self.clone(kind, kind, clients // len(self.secrets))
        self.clone("generated", "inactive", 1, is_active="FALSE")
        self.signer = Signer()
        self.database.execute(f"""
            INSERT INTO api_clientkey (client_id, kid, jwk_kid, jwk, name, created_at)
            SELECT id, '{self.signer.kid}', '', '{json.dumps(self.signer.jwk)}', '', date_joined
            FROM auth_user WHERE username LIKE 'generated-%'
        """)  # noqa: S608 (made of constants)

    def key_logins(self, server: Server, count: int) -> list[Request]:
        assert self.signer
        return self.signer.logins("/login", self.names("generated"), ISSUER, count)

    def migrate(self) -> None:
        self.python("manage.py", "migrate", "--verbosity", "0")

    def create(self, client: str, *options: str) -> str:
        """Create a client with a generated secret, and return that."""
        created = json.loads(self.python("manage.py", "createclient", client, *options))
        return str(created["client_secret"])

    def choose(self, client: str) -> str:
        """Create a client with a chosen secret, and return that."""
        make = "from django.contrib.auth.models import User;"
        make += f'User.objects.create_user("{client}", password="bar")'
        self.python("manage.py", "shell", "-c", make)
        return "bar"

    def clone(self, template: str, name: str, count: int, **values: str) -> None:
        self.database.clone("auth_user", "username", template, name, count, **values)

    def login(self, client: str, secret: str) -> Request:
        return Request.post_json("/login", {"client_id": client, "client_secret": secret})

    def loads(self, server: Server) -> dict[str, list[Request]]:
        of_default = super().loads(server)
        return {
            "public": [Request("GET", "/public")],
            "private": of_default["private"],
            "login, generated secret": of_default["login"],
            "login, chosen secret": self.logins("chosen"),
        }
