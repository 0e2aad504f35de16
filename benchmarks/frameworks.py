"""Peers that people build on a framework, and what a framework and a server cost by themselves."""

from base64 import b64encode
from urllib.parse import urlencode

from harness import Request, Server
from systems import SECRET, System


class Stock(System):
    """Django REST Framework and SimpleJWT, each with its defaults."""

    name = "DRF + SimpleJWT"
    settings = "stock.settings"
    secrets = {"client": SECRET}
    wrong = {"client": SECRET.upper()}
    refuses_inactive = "login"
    token_key = "access"

    def prepare(self, clients: int) -> None:
        self.python("-m", "django", "migrate", "--verbosity", "0")
        make = "from django.contrib.auth.models import User;"
        make += f'User.objects.create_user("client", password="{SECRET}")'
        self.python("-m", "django", "shell", "-c", make)
        self.clients = clients
        self.database.clone("auth_user", "username", "client", "client", clients)
        self.database.clone("auth_user", "username", "client", "inactive", 1, is_active="FALSE")

    def login(self, client: str, secret: str) -> Request:
        return Request.post_json("/api/token/", {"username": client, "password": secret})


class Toolkit(System):
    """django-oauth-toolkit's client credentials, with its defaults.

    An application of it has no switch, so there is no inactive one to refuse.
    """

    name = "django-oauth-toolkit"
    settings = "toolkit.settings"
    secrets = {"client": SECRET}
    wrong = {"client": SECRET.upper()}

    def prepare(self, clients: int) -> None:
        self.python("-m", "django", "migrate", "--verbosity", "0")
        self.python(
            *("-m", "django", "createapplication", "confidential", "client-credentials"),
            *("--client-id", "client", "--client-secret", SECRET),
        )
        self.clients = clients
        self.database.clone("oauth2_provider_application", "client_id", "client", "client", clients)

    def login(self, client: str, secret: str) -> Request:
        credentials = b64encode(f"{client}:{secret}".encode()).decode()
        return Request(
            "POST",
            "/o/token/",
            {
                "Authorization": f"Basic {credentials}",
                "Content-Type": "application/x-www-form-urlencoded",
            },
            b"grant_type=client_credentials",
        )


class FastAPI(System):
    """FastAPI's security tutorial, on the server that its own command line starts."""

    name = "FastAPI tutorial"
    secrets = {"client": SECRET}
    wrong = {"client": SECRET.upper()}
    refuses_inactive = "private"

    def command(self, port: int, workers: int) -> list[str]:
        return [
            *(self.interpreter, "-m", "uvicorn", "fastapi_tutorial:app", "--no-access-log"),
            *("--workers", str(workers), "--port", str(port)),
        ]

    def prepare(self, clients: int) -> None:
        self.python("-m", "fastapi_tutorial", "client", SECRET)
        self.clients = clients
        self.database.clone('"user"', "username", "client", "client", clients)
        self.database.clone('"user"', "username", "client", "inactive", 1, disabled="TRUE")

    def login(self, client: str, secret: str) -> Request:
        body = urlencode({"grant_type": "password", "username": client, "password": secret})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return Request("POST", "/token", headers, body.encode())


class Floor(System):
    """What Django REST Framework itself costs: a constant, and nothing else."""

    name = "floor: a DRF view"
    settings = "floor.settings"

    def prepare(self, clients: int) -> None:
        pass

    def check(self, server: Server) -> None:
        self.expect(server, Request("GET", "/public"), 200)

    def loads(self, server: Server) -> dict[str, list[Request]]:
        return {"public": [Request("GET", "/public")]}


class Bare(Floor):
    """What the server itself costs."""

    name = "bare WSGI callable"
    settings = ""
    application = ("bare:application",)
