"""What clients ask of the service in production, in requests to a running server."""

import json
import random
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import cycle, islice
from typing import Any
from urllib.parse import urlencode

from client_keys import FORM
from harness import CONNECTIONS, Caller, Request, Server
from load import Load, collect, load, load_once
from population import Population
from systems import ISSUER, bearer

SECRET, KEY, IDENTITY = "/login, secret", "/login, key", "/login, identity"
RESOURCE, CHOSEN = "/login for an API", "/login, chosen secret"
PRIVATE, INTROSPECT, REVOKE = "/private", "/introspect", "/revoke"
LIVEZ, READYZ, METRICS = "/livez", "/readyz", "/metrics"
JWKS, PUBLIC = "/.well-known/jwks.json", "/public"
MIX = "mix of all"

# Every endpoint that production uses, and what a right answer contains.
RIGHT = {
    **dict.fromkeys((SECRET, KEY, IDENTITY, RESOURCE), '"token_type":"Bearer"'),
    PRIVATE: "Welcome to the protected area",
    INTROSPECT: '"active":true',
    REVOKE: "{}",
    LIVEZ: '"status":"ok"',
    READYZ: '"status":"ok"',
    METRICS: "authdemo_http_request_duration_seconds_bucket",
    JWKS: '"crv":"P-256"',
    PUBLIC: "Welcome to the public area",
}
# Of 500 requests. APIs verify most tokens by themselves; Prometheus and health checks call seldom.
SHARES = {
    PRIVATE: 300,
    SECRET: 60,
    INTROSPECT: 50,
    KEY: 20,
    IDENTITY: 20,
    RESOURCE: 20,
    JWKS: 10,
    REVOKE: 5,
    LIVEZ: 5,
    READYZ: 5,
    PUBLIC: 3,
    CHOSEN: 1,
    METRICS: 1,
}
# Requests that are good once, or whose tokens are; so many are made for each second.
ONCE = {KEY: 4000, REVOKE: 1000, MIX: 5000}
WARM_UP = 500  # requests to an endpoint, or a second of them, before it is measured


class Traffic:
    """Requests to a server of a population, of so many clients of each kind."""

    def __init__(self, system: Population, server: Server, in_use: Mapping[str, int]) -> None:
        self.system, self.server, self.in_use = system, server, in_use
        self.makers: dict[str, Callable[[int], Sequence[Request]]] = {
            SECRET: partial(self.logins, "secret"),
            CHOSEN: partial(self.logins, "chosen"),
            KEY: self.key_logins,
            IDENTITY: partial(self.each, "identity", system.identity_login),
            RESOURCE: partial(self.each, "granted", system.resource_login),
            PRIVATE: self.calls,
            INTROSPECT: self.introspections,
            REVOKE: self.revocations,
            METRICS: self.scrapes,
            MIX: self.mixed,
        }

    def requests(self, endpoint: str, count: int) -> list[Request]:
        """Return so many requests to an endpoint, of the clients in turn."""
        make = self.makers.get(endpoint)
        made = make(count) if make else [Request("GET", endpoint)]
        return list(islice(cycle(made), count))

    def measure(self, endpoint: str, seconds: int, connections: int = CONNECTIONS) -> Load:
        """Load an endpoint, after a warm-up."""
        count = ONCE[endpoint] * seconds if endpoint in ONCE else max(self.in_use.values())
        requests = self.requests(endpoint, WARM_UP + count)
        warm_up, measured = requests[:WARM_UP], requests[WARM_UP:]
        load_once(self.server, warm_up, seconds=1, connections=connections)
        run = load_once if endpoint in ONCE else load
        return run(self.server, measured, seconds=seconds, connections=connections)

    def check(self) -> None:
        """Raise unless the answer of each endpoint is right, and a revocation revokes."""
        for endpoint, expected in RIGHT.items():
            (request,) = self.requests(endpoint, 1)
            answer = self.server.call(request)
            assert answer.status == 200, f"{endpoint}: {answer}"
            assert expected in answer.body.decode(), f"{endpoint}: {answer}"
            if endpoint.startswith("/login"):
                header, claims = decode(answer.json()["access_token"])
                is_for_api = endpoint == RESOURCE
                resource = self.system.resource(claims["sub"]) if is_for_api else ISSUER
                assert (header["typ"], claims["aud"]) == ("at+jwt", resource), claims
        assert self.system.database.number("SELECT COUNT(*) FROM api_revokedtoken") == 1

    # Requests to the endpoints

    def names(self, kind: str) -> list[str]:
        return self.system.names(kind, self.in_use[kind])

    def each(self, kind: str, make: Callable[[str], Request], count: int) -> list[Request]:
        """Return one request of each client, or fewer."""
        return [make(name) for name in self.names(kind)[:count]]

    def logins(self, kind: str, count: int) -> list[Request]:
        secret = self.system.secrets[kind]
        return self.each(kind, lambda name: self.system.login(name, secret), count)

    def key_logins(self, count: int) -> list[Request]:
        names = islice(cycle(self.names("key")), count)
        return [self.system.key_login(name) for name in names]

    def tokens(self, count: int, endpoint: str = SECRET) -> list[str]:
        """Let clients log in for so many tokens."""
        logins = self.requests(endpoint, count + 2 * CONNECTIONS)
        return [answer["access_token"] for answer in collect(self.server, logins, count)]

    def calls(self, count: int) -> list[Request]:
        return [bearer(token) for token in self.tokens(min(count, self.in_use["secret"]))]

    def introspections(self, count: int) -> list[Request]:
        """Let the server of an API ask about tokens for it."""
        return [
            self.about_token("/introspect", self.system.resource_server(audience), token)
            for token in self.tokens(min(count, self.in_use["granted"]), RESOURCE)
            for audience in [decode(token)[1]["aud"]]
        ]

    def revocations(self, count: int) -> list[Request]:
        """Let clients revoke tokens of their own."""
        return [
            self.about_token("/revoke", decode(token)[1]["sub"], token)
            for token in self.tokens(count)
        ]

    def about_token(self, path: str, client: str, token: str) -> Request:
        secret = self.system.secrets["secret"]
        form = {"token": token, "client_id": client, "client_secret": secret}
        return Request("POST", path, FORM, urlencode(form).encode())

    def scrapes(self, _count: int) -> list[Request]:
        login = self.system.login("prometheus", self.system.secrets["prometheus"])
        token = self.system.token(Caller(self.server.port)(login))
        return [Request("GET", METRICS, bearer(token).headers)]

    def mixed(self, count: int) -> list[Request]:
        """Mix requests to all endpoints, in random order. Each is good once."""
        whole = sum(SHARES.values())
        requests = [
            request
            for endpoint, share in SHARES.items()
            for request in self.requests(endpoint, -(-count * share // whole))
        ]
        random.Random(0).shuffle(requests)
        return requests[:count]


def decode(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the header and the claims of a token."""
    header, claims, _ = token.split(".")
    return json.loads(urlsafe_b64decode(header + "==")), json.loads(
        urlsafe_b64decode(claims + "==")
    )
