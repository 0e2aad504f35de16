"""Clients with keys of their own, that nobody here wrote, and several processes that check them."""

import json
import subprocess
import threading
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT, private_key_jwt_sign
from joserfc.jwk import ECKey, OKPKey, RSAKey
from jwskate import Jwk
from requests_oauth2client import InvalidClient, OAuth2Client
from requests_oauth2client import PrivateKeyJwt as TheirPrivateKeyJwt

from api.tests.support.assertions import KeyPair, claims_of, presented
from api.tests.support.load import call, visit
from api.tests.support.npm import install
from api.tests.support.server import GRANIAN, Server

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
LOADERS: dict[str, Any] = {"ES256": ECKey, "RS256": RSAKey, "Ed25519": OKPKey}
KINDS = ("ES256", "ES384", "ES512", "EdDSA", "RS256")


@pytest.fixture
def service(server: Server) -> Iterator[Server]:
    """A server with two workers."""
    server.extra["FAILED_LOGINS_PER_CLIENT"] = "1000/minute"
    with server.running((*GRANIAN, "--port", str(server.port), "--workers", "2")):
        yield server


def make_client(server: Server, client_id: str, *pairs: KeyPair) -> None:
    """Make a client with these keys and the scope `read`."""
    keys = []
    for number, pair in enumerate(pairs):
        file = server.directory / f"{client_id}-{number}.pem"
        file.write_text(pair.public_pem)
        keys += ["--key", str(file)]
    server.manage("createclient", client_id, "--scope", "read", *keys)


def log_in(server: Server, assertion: str) -> Any:
    """Return the answer to a login with an assertion."""
    body = presented(assertion, grant_type="client_credentials")
    return call(server, "/login", FORM, urllib.parse.urlencode(body))


class ShortLived(PrivateKeyJWT):  # type: ignore[misc]  # Authlib is not annotated
    """Authlib's assertions last an hour and this one's a minute, as the documentation says."""

    def sign(self, auth: Any, token_endpoint: str) -> Any:
        key = auth.client_secret
        return private_key_jwt_sign(key, auth.client_id, token_endpoint, self.alg, expires_in=60)


@pytest.mark.parametrize("algorithm", LOADERS)
def test_authlib_with_a_key(service: Server, algorithm: str) -> None:
    kind = algorithm.replace("Ed25519", "EdDSA")
    pair, wrong = KeyPair.generate(kind), KeyPair.generate(kind)
    make_client(service, "signer", pair)

    def session(key: KeyPair) -> Any:
        method = ShortLived(service.url, alg=algorithm)
        return OAuth2Session(
            "signer",
            LOADERS[algorithm].import_key(key.private_pem),
            token_endpoint_auth_method=method,
            revocation_endpoint_auth_method=method,
        )

    with session(pair) as good:
        text = good.fetch_token(f"{service.url}/login", grant_type="client_credentials")
        text = text["access_token"]
        assert good.get(f"{service.url}/private", timeout=5).json()["sub"] == "signer"
        told = good.introspect_token(f"{service.url}/introspect", token=text).json()
        assert told["active"]
        assert good.revoke_token(f"{service.url}/revoke", token=text).status_code == 200
        assert good.get(f"{service.url}/private", timeout=5).status_code == 401
    with session(wrong) as bad, pytest.raises(OAuthError, match="invalid_client"):
        bad.fetch_token(f"{service.url}/login", grant_type="client_credentials")


@pytest.mark.parametrize("setting", ["issuer", "token-endpoint"])
def test_requests_oauth2client_with_a_key(server: Server, setting: str) -> None:
    """It names the endpoint as audience, unless it is told the issuer."""
    server.extra["ASSERTION_AUDIENCE"] = setting
    pair, wrong = KeyPair.generate(), KeyPair.generate()
    make_client(server, "signer", pair)
    audience = server.url if setting == "issuer" else None

    def client(key: KeyPair) -> OAuth2Client:
        jwk = Jwk(key.private_jwk).with_kid_thumbprint()
        auth = TheirPrivateKeyJwt("signer", jwk, alg="ES256", aud=audience)
        return OAuth2Client(f"{server.url}/login", auth=auth, testing=True)

    with server.running():
        token = client(pair).client_credentials(scope="read")
        private = requests.get(f"{server.url}/private", auth=token, timeout=5)
        assert (private.status_code, private.json()["sub"]) == (200, "signer")
        with pytest.raises(InvalidClient):
            client(wrong).client_credentials()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = Path(__file__).parent / "openid_client"
    return install(source, tmp_path_factory.mktemp("openid-client")) / "client.js"


@pytest.mark.parametrize("kind", [*KINDS, "PS256"])
@pytest.mark.parametrize("named", [True, False], ids=["kid", "no kid"])
def test_openid_client_with_a_key(service: Server, program: Path, kind: str, named: bool) -> None:
    family = kind.replace("PS", "RS")
    pair, wrong = KeyPair.generate(family), KeyPair.generate(family)
    make_client(service, "signer", pair)

    def run(key: KeyPair) -> Any:
        jwk = json.dumps(key.private_jwk | {"kid": pair.kid})
        arguments = [service.url, "signer", jwk, kind, *(["named"] if named else [])]
        command = ["node", str(program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return json.loads(done.stdout)

    assert run(pair) == {"scope": "read", "sub": "signer", "after": False}
    assert run(wrong) == {"status": 401, "code": "OAUTH_WWW_AUTHENTICATE_CHALLENGE"}


# Two processes


def test_assertion_is_good_once_in_all_processes_and_after_a_restart(server: Server) -> None:
    pair, rounds, threads = KeyPair.generate(), 10, 8
    server.extra["FAILED_LOGINS_PER_CLIENT"] = server.extra["FAILED_LOGINS_PER_ADDRESS"] = (
        "1000/minute"
    )
    make_client(server, "signer", pair)
    two_workers = (*GRANIAN, "--port", str(server.port), "--workers", "2")
    with server.running(two_workers), ThreadPoolExecutor(threads) as pool:
        for _ in range(rounds):
            assertion = pair.sign(claims_of("signer", aud=server.url))
            answers = pool.map(lambda text: log_in(server, text), [assertion] * threads)
            assert Counter(answer.status for answer in answers) == {200: 1, 401: threads - 1}
    with server.running(two_workers):
        assert log_in(server, assertion).status == 401
        assert log_in(server, pair.sign(claims_of("signer", aud=server.url))).status == 200


REMOVAL = """
from api.models import ClientKey
ClientKey.objects.get(kid="KID", client__username="signer").delete()
"""


def test_removed_key_ends_its_tokens_under_load_and_no_others(service: Server) -> None:
    removed, kept = KeyPair.generate(), KeyPair.generate()
    make_client(service, "signer", removed, kept)
    make_client(service, "other", removed)
    good = [(kept, "signer"), (removed, "other")]

    def token(pair: KeyPair, client_id: str) -> str:
        answer = log_in(service, pair.sign(claims_of(client_id, aud=service.url)))
        assert answer.status == 200, answer
        return str(answer.body["access_token"])

    ended = [token(removed, "signer") for _ in range(8)]
    stop = threading.Event()

    def work(number: int) -> Counter[int]:
        """Log in with a key that stays, use its tokens, and make the workers know a bad one."""
        statuses: Counter[int] = Counter()
        first = token(*good[number % 2])
        while not stop.is_set():
            newest = token(*good[number % 2])
            statuses.update(visit(service, text).status for text in (first, newest))
            visit(service, ended[number])
        return statuses

    with ThreadPoolExecutor(8) as pool:
        working = [pool.submit(work, number) for number in range(8)]
        try:
            service.shell(REMOVAL.replace("KID", removed.kid))
            refused = [visit(service, text).status for text in ended for _ in range(4)]
        finally:
            stop.set()
        answers = sum((each.result() for each in working), Counter())
    assert refused == [401] * 32
    assert answers.keys() == {200}
    assert log_in(service, removed.sign(claims_of("signer", aud=service.url))).status == 401
