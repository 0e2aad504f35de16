"""What nobody thought of: requests made up from the document, and bytes made up from nothing."""

import base64
import json
import re
import subprocess
import sysconfig
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pytest_django import Settings
from rest_framework.test import APIClient

from api.client_authentication.secret import parse_basic
from api.tests.support import fuzz_hooks
from api.tests.support.server import Server

# Where a client is to authenticate is what OpenAPI can't say: in the header or in the body, and not
# in both. So a request to these operations that is as documented may be answered with a 400.
CONFIGURATION = f"""
hooks = "{fuzz_hooks.__file__}"

[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "405", "413", "415"]

[[operations]]
include-operation-id = ["introspect", "login", "revoke"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401"]

# Nor which keys, identifiers, times to come and versions of a client are good.
[[operations]]
include-tag = ["Clients", "Keys"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "4xx"]
"""
SCOPES = ("clients:read", "clients:write", "keys:write")
AUTHENTICATION = """
[auth.openapi]
client_secret_basic = {{ username = "{client_id}", password = "{client_secret}" }}
bearer = {{ bearer = "{access_token}" }}
"""


@pytest.fixture
def fuzzed(server: Server) -> Server:
    """A service that refuses nobody for trying often."""
    for name in ("FAILED_LOGINS_PER_ADDRESS", "FAILED_LOGINS_PER_CLIENT"):
        server.extra[name] = "1000000/minute"
    server.extra["REGISTRATIONS_PER_ADDRESS"] = "1000000/minute"
    return server


def log_in(server: Server, client: dict[str, str]) -> str:
    request = urllib.request.Request(f"{server.url}/login", json.dumps(client).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request) as response:
        return str(json.load(response)["access_token"])


@pytest.mark.parametrize(
    ("arguments", "as_client", "events"),
    [
        pytest.param(
            ["--phases=examples,coverage,fuzzing", "--max-examples=15"],
            False,
            {"client_registered", "login_failed"},
            id="from a stranger",
        ),
        pytest.param(
            ["--phases=fuzzing", "--max-examples=20"],
            True,
            {"token_issued", "client_created"},
            id="from a client",
        ),
        pytest.param(
            # With this seed, a client that it registers logs in, which is luck otherwise.
            ["--phases=stateful", "--max-examples=60", "--mode=positive", "--seed=1"],
            False,
            {"client_registered", "token_issued"},
            id="in chains",
        ),
    ],
)
def test_requests_made_up_from_the_document_find_no_fault(
    fuzzed: Server, arguments: list[str], as_client: bool, events: set[str]
) -> None:
    with fuzzed.running():
        configuration = CONFIGURATION
        if as_client:
            scopes = [argument for name in SCOPES for argument in ("--scope", name)]
            client = json.loads(fuzzed.manage("createclient", "fuzz", *scopes))
            client["access_token"] = log_in(fuzzed, client)
            configuration += AUTHENTICATION.format(**client)
        (fuzzed.directory / "schemathesis.toml").write_text(configuration)
        done = subprocess.run(
            [
                Path(sysconfig.get_path("scripts")) / "st",
                "run",
                f"{fuzzed.url}/schema",
                "--checks=all",
                "--no-color",
                *arguments,
            ],
            cwd=fuzzed.directory,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    generated = re.search(r"(\d+) generated, \1 passed", done.stdout)
    assert generated, done.stdout
    assert int(generated[1]) > 100
    assert events <= set(re.findall(r"api\.audit (\w+)", fuzzed.log))
    assert " ERROR " not in fuzzed.log


FORM, JSON = "application/x-www-form-urlencoded", "application/json"
UNSPEAKABLE = "\0"  # no name and no secret has it
words = st.text(
    st.characters(exclude_characters=UNSPEAKABLE, exclude_categories=["Cs"]),
    min_size=1,
    max_size=150,
)
names = st.sampled_from(["client_id", "client_secret", "grant_type", "scope"]) | st.text(max_size=9)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
)
headers = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"))
bounded = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # nothing in it is changed
)


@pytest.fixture
def patient(db: None, settings: Settings) -> APIClient:
    """A caller of a service that refuses nobody for trying often."""
    settings.FAILED_LOGINS_PER_CLIENT = settings.FAILED_LOGINS_PER_ADDRESS = (1_000_000, 60)
    return APIClient()


def demand_refusal(response: Any, *statuses: int) -> None:
    assert response.status_code in statuses, response.content
    body = response.json()
    assert body.keys() == {"error", "error_description"}
    for text in body.values():  # in the characters of RFC 6749 §5.2
        assert re.fullmatch(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+", text)


@bounded
@given(header=st.binary().map(lambda raw: base64.b64encode(raw).decode()) | headers)
@example(header="====")
def test_no_basic_header_is_a_fault(patient: APIClient, header: str) -> None:
    asked = "grant_type=client_credentials"
    authorization = {"Authorization": f"Basic {header}"}
    response = patient.post("/login", asked, content_type=FORM, headers=authorization)
    demand_refusal(response, 400, 401)


@bounded
@given(client_id=words.filter(lambda text: ":" not in text), secret=words)
def test_basic_header_is_read_as_it_was_meant(client_id: str, secret: str) -> None:
    encoded = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    assert parse_basic(base64.b64encode(encoded.encode()).decode())[0] == (client_id, secret)
    raw = f"{client_id}:{secret}"
    assert (client_id, secret) in parse_basic(base64.b64encode(raw.encode()).decode())


@bounded
@given(
    token=st.lists(
        st.binary() | values.map(lambda value: json.dumps(value).encode()), min_size=3, max_size=3
    ).map(lambda parts: ".".join(base64.urlsafe_b64encode(part).decode() for part in parts))
    | headers
)
def test_no_bearer_token_is_a_fault(patient: APIClient, token: str) -> None:
    demand_refusal(patient.get("/private", headers={"Authorization": f"Bearer {token}"}), 401)


@bounded
@given(body=st.lists(st.tuples(names, st.text())).map(urlencode).map(str.encode) | st.binary())
@pytest.mark.parametrize("path", ["/login", "/introspect", "/revoke"])
def test_no_form_is_a_fault(patient: APIClient, path: str, body: bytes) -> None:
    demand_refusal(patient.post(path, body, content_type=FORM), 400, 401)


@bounded
@given(body=values.map(json.dumps).map(str.encode) | st.binary())
@example(body=b"[" * 5000)
@example(body=b'{"client_id": "\\ud800", "client_secret": "\\ud800"}')
@pytest.mark.parametrize("path", ["/login", "/introspect", "/revoke"])
def test_no_json_is_a_fault(patient: APIClient, path: str, body: bytes) -> None:
    demand_refusal(patient.post(path, body, content_type=JSON), 400, 401)
