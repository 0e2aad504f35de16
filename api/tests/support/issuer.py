"""Another token issuer, such as a Kubernetes cluster, whose workloads log in to our service."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from api.client_authentication.assertion import ASSERTION_TYPE

SUBJECT = "system:serviceaccount:default:reporting"


@dataclass
class Issuer:
    """`keys` are private keys by their `kid`; its public ones are what `jwks` returns."""

    url: str = "https://issuer.example"
    algorithm: str = "ES256"  # or RS256
    keys: dict[str, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)  # paths
    hangs: threading.Event | None = None  # ends the hanging when it is set

    def __post_init__(self) -> None:
        self.rotate("one")

    def rotate(self, kid: str) -> None:
        """Replace all keys by a new one."""
        if self.algorithm == "RS256":
            self.keys = {kid: rsa.generate_private_key(65537, 2048)}
        else:
            self.keys = {kid: ec.generate_private_key(ec.SECP256R1())}

    def jwks(self, **members: str) -> str:
        algorithm: Any = jwt.get_algorithm_by_name(self.algorithm)
        listed = [
            {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, **members}
            for kid, key in self.keys.items()
        ]
        return json.dumps({"keys": listed})

    def token(self, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """Sign a token with the first key. A claim or header that is `None` is left out."""
        kid, key = next(iter(self.keys.items()))
        now = int(time.time())
        standard = {"iss": self.url, "sub": SUBJECT, "aud": "http://localhost:8000"}
        standard |= {"iat": now, "exp": now + 600}  # type: ignore[dict-item]
        chosen = {name: value for name, value in (standard | claims).items() if value is not None}
        return jwt.encode(chosen, key, self.algorithm, {"kid": kid, **(headers or {})})

    @contextmanager
    def serving(self) -> Iterator["Issuer"]:
        """Answer discovery at a free port, which the `url` then names."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                if issuer.hangs:
                    issuer.hangs.wait(30)
                found = {
                    "/.well-known/openid-configuration": json.dumps(
                        {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}
                    ),
                    "/keys": issuer.jwks(),
                }.get(self.path)
                with suppress(OSError):  # nobody waits for it any more
                    self.send_response(200 if found else 404)
                    self.end_headers()
                    self.wfile.write((found or "").encode())

            def log_message(self, *_: Any) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            issuer.url = f"http://127.0.0.1:{server.server_port}"
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield self
            finally:
                if issuer.hangs:
                    issuer.hangs.set()
                server.shutdown()
                thread.join()


def form(token: str, kind: str = ASSERTION_TYPE, **more: str) -> dict[str, str]:
    """Return the parameters of a login with an assertion."""
    sent = {"grant_type": "client_credentials", "client_assertion_type": kind}
    return {**sent, "client_assertion": token, **more}
