"""Signing keys: every algorithm, rotation on time and at once, and what the database gives away."""

import base64
import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import jwt
import pytest
import time_machine
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client as Browser
from django.utils import timezone
from joserfc.jwk import import_key
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient
from time_machine import Traveller

from api import claims, keys, token_backend
from api.checks.credentials import check_signing_key
from api.models import SigningKey
from api.tests.support.responses import assert_error, bearer
from api.tests.support.server import GRANIAN, PROJECT, Server

ASYMMETRIC = [
    *(f"{family}{bits}" for family in ("RS", "PS", "ES") for bits in (256, 384, 512)),
    "EdDSA",
]
ALGORITHMS = ["HS256", "HS384", "HS512", *ASYMMETRIC]
LIFETIME = timedelta(seconds=claims.LIFETIME)
GetToken = Callable[[], str]


@pytest.fixture
def clock() -> Iterator[Traveller]:
    """A clock that stands still until it is moved."""
    now = timezone.now().replace(microsecond=0) + timedelta(seconds=1)
    with time_machine.travel(now, tick=False) as clock:
        yield clock


def status(http: APIClient, token: str) -> int:
    return http.get("/private", headers=bearer(token)).status_code


def published(http: APIClient) -> dict[str, dict[str, str]]:
    return {jwk["kid"]: jwk for jwk in http.get("/.well-known/jwks.json").json()["keys"]}


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# Every algorithm


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_algorithm_issues_verifies_publishes_and_rotates(
    http: APIClient,
    get_token: GetToken,
    settings: Settings,
    clock: Traveller,
    algorithm: str,
) -> None:
    earlier = get_token()
    settings.JWT_ALGORITHM = algorithm
    key = keys.rotate()
    assert kid_of(get_token()) == kid_of(earlier)
    clock.shift(max(keys.PUBLISH_AHEAD, LIFETIME))

    token = get_token()
    header = jwt.get_unverified_header(token)
    assert header == {"alg": algorithm, "kid": key.kid, "typ": "at+jwt"}
    assert (status(http, token), status(http, earlier)) == (200, 401)  # that one has expired
    if algorithm.startswith("HS"):
        assert key.kid not in published(http)
    else:
        jwk = published(http)[key.kid]
        assert not jwk.keys() & {"d", "p", "q", "dp", "dq", "qi", "k", "key_ops"}
        assert (jwk["alg"], jwk["use"]) == (algorithm, "sig")
        audience = "http://localhost:8000"
        claims = jwt.decode(token, jwt.PyJWK(jwk), [algorithm], audience=audience)
        assert claims["sub"] == "reporting"

    settings.JWT_ALGORITHM = "ES256"
    keys.rotate(immediately=True)
    assert status(http, token) == 401
    assert key.kid not in published(http)
    assert status(http, get_token()) == 200


@pytest.mark.parametrize(
    "algorithm", ["HS256", "HS384", "HS512", "RS256", "ES256", "ES384", "ES512", "EdDSA"]
)
@pytest.mark.django_db
def test_key_id_is_the_thumbprint_of_rfc_7638(settings: Settings, algorithm: str) -> None:
    row = keys._generate(algorithm)
    private = json.loads(keys._fernet().decrypt(row.private_jwk))
    assert import_key(private).thumbprint() == row.kid
    if row.public_jwk:
        assert import_key(row.public_jwk).thumbprint() == row.kid


@pytest.mark.parametrize(("algorithm", "size"), [("ES256", 32), ("ES384", 48), ("ES512", 66)])
def test_coordinates_that_begin_with_zero_keep_their_length(algorithm: str, size: int) -> None:
    """RFC 7518 §6.2.1.2; one key in 128 has one, and most of P-521."""
    for _ in range(5000):
        jwk = keys._generate(algorithm).public_jwk
        coordinates = [decoded(jwk[name]) for name in ("x", "y")]
        assert [len(coordinate) for coordinate in coordinates] == [size, size]
        if any(coordinate[0] == 0 for coordinate in coordinates):
            return
    raise AssertionError("no such key among 5000")


@pytest.mark.parametrize(("algorithm", "size"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_hmac_key_is_as_long_as_its_digest(algorithm: str, size: int) -> None:
    private = json.loads(keys._fernet().decrypt(keys._generate(algorithm).private_jwk))
    assert len(decoded(private["k"])) == size


# A rotation, minute by minute


def test_planned_rotation_refuses_no_token_that_it_should_not(
    http: APIClient, get_token: GetToken, clock: Traveller
) -> None:
    old = kid_of(get_token())
    new = keys.rotate().kid
    assert published(http).keys() == {old, new}, "published at once"

    clock.shift(keys.PUBLISH_AHEAD - timedelta(seconds=1))
    last = get_token()
    assert kid_of(last) == old, "signs no sooner than every verifier has seen it"

    clock.shift(timedelta(seconds=1))
    assert kid_of(get_token()) == new
    clock.shift(LIFETIME - timedelta(seconds=2))
    assert status(http, last) == 200, "the last token of the old key is good to its end"
    assert published(http).keys() == {old, new}

    clock.shift(timedelta(seconds=1) + keys.LEEWAY + timedelta(seconds=1))
    assert published(http).keys() == {new}
    assert status(http, get_token()) == 200
    assert SigningKey.objects.get(kid=old).verifies_until == timezone.now()


def test_verifiers_have_time_to_see_a_new_key() -> None:
    assert keys.PUBLISH_AHEAD > keys.REFRESH + keys.JWKS_MAX_AGE


def test_rotation_at_once_ends_every_earlier_token(http: APIClient, get_token: GetToken) -> None:
    before = get_token()
    pending = keys.rotate().kid
    new = keys.rotate(immediately=True).kid
    assert status(http, before) == 401
    assert published(http).keys() == {new}
    after = get_token()
    assert (kid_of(after), status(http, after)) == (new, 200)
    assert pending != new


def test_rotation_at_once_ends_every_earlier_token_where_a_clock_is_behind_too(
    http: APIClient, get_token: GetToken, clock: Traveller
) -> None:
    before = get_token()
    new = keys.rotate(immediately=True).kid
    clock.shift(1 - keys.LEEWAY.total_seconds())
    assert status(http, before) == 401
    after = get_token()
    assert (kid_of(after), status(http, after)) == (new, 200)


def test_key_that_has_ended_is_not_remembered_as_good(
    http: APIClient, get_token: GetToken, clock: Traveller, uptime: list[float]
) -> None:
    token = get_token()
    assert status(http, token) == 200
    SigningKey.objects.update(verifies_until=timezone.now() + timedelta(seconds=1))
    uptime[0] += keys.REFRESH.total_seconds() + 0.001
    assert status(http, token) == 200
    clock.shift(1)
    assert status(http, token) == 401


@pytest.mark.django_db
def test_second_rotation_waits_for_the_first(clock: Traveller) -> None:
    call_command("rotatekeys")
    with pytest.raises(CommandError, match="is published and signs from"):
        call_command("rotatekeys")
    assert SigningKey.objects.count() == 2
    clock.shift(keys.PUBLISH_AHEAD)
    first = SigningKey.objects.get(verifies_until__isnull=False)
    call_command("rotatekeys")
    assert SigningKey.objects.count() == 3
    last_expiry = first.verifies_until
    first.refresh_from_db()
    assert first.verifies_until == last_expiry, "and lives no longer for it"


def test_key_made_by_a_clock_ahead_of_ours_signs_all_the_same(
    http: APIClient, get_token: GetToken
) -> None:
    SigningKey.objects.update(signs_from=timezone.now() + timedelta(minutes=1))
    keys.forget()
    assert status(http, get_token()) == 200


def test_commands_say_what_they_did(capsys: pytest.CaptureFixture[str], db: None) -> None:
    call_command("rotatekeys", "--now")
    key = keys.signing_key()
    assert (
        capsys.readouterr().out == f"ES256 key {key.kid} signs from {key.signs_from.isoformat()}\n"
    )


# A change of JWT_ALGORITHM


def test_change_of_the_algorithm_is_a_planned_rotation(
    http: APIClient, get_token: GetToken, settings: Settings, clock: Traveller
) -> None:
    before = get_token()
    settings.JWT_ALGORITHM = "EdDSA"
    call_command("migrate", verbosity=0)
    assert {jwk["alg"] for jwk in published(http).values()} == {"ES256", "EdDSA"}
    assert jwt.get_unverified_header(get_token())["alg"] == "ES256"
    assert status(http, before) == 200
    clock.shift(keys.PUBLISH_AHEAD)
    assert jwt.get_unverified_header(get_token())["alg"] == "EdDSA"
    call_command("migrate", verbosity=0)
    assert SigningKey.objects.count() == 2, "nothing has changed since"


@pytest.mark.django_db
def test_migrate_leaves_a_pending_rotation_alone(settings: Settings) -> None:
    keys.rotate()
    settings.JWT_ALGORITHM = "EdDSA"
    call_command("migrate", verbosity=0)
    assert SigningKey.objects.count() == 2


# The database, and SECRET_KEY


@pytest.mark.django_db
@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256", "HS256"])
def test_database_holds_no_usable_private_key(settings: Settings, algorithm: str) -> None:
    settings.JWT_ALGORITHM = algorithm
    kid = keys.rotate(immediately=True).kid
    row = SigningKey.objects.get(kid=kid)
    private = json.loads(keys._fernet().decrypt(row.private_jwk))
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM api_signingkey")
        dump = str(cursor.fetchall())
    secrets = [private[name] for name in ("d", "p", "q", "k") if name in private]
    assert secrets
    for secret in secrets:
        number = int.from_bytes(decoded(secret), "big")
        for spelt in (secret, decoded(secret).hex(), str(number), repr(decoded(secret))):
            assert spelt not in dump
    assert "PRIVATE" not in dump

    settings.SECRET_KEY = "another secret key, of which nobody knows anything at all"
    keys.forget()
    with pytest.raises(keys.NoSigningKeyError):
        keys.signing_key()


def test_new_secret_key_with_the_old_as_fallback_changes_nothing(
    http: APIClient, get_token: GetToken, settings: Settings
) -> None:
    before, kid = get_token(), keys.signing_key().kid
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new secret key that is as good as the one that was before"
    keys.forget()
    token_backend.forget()
    after = get_token()
    assert (status(http, before), status(http, after)) == (200, 200)
    assert kid_of(after) == kid

    keys.rotate(immediately=True)
    settings.SECRET_KEY_FALLBACKS = []
    keys.forget()
    assert status(http, get_token()) == 200, "a key made since needs the new one alone"


def test_two_machines_in_the_middle_of_a_change_accept_each_others_tokens(
    http: APIClient, get_token: GetToken, settings: Settings
) -> None:
    old, new = settings.SECRET_KEY, "a new secret key that is as good as the one that was before"
    made = []
    for _ in range(2):
        for settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS in ((old, [new]), (new, [old])):
            keys.forget()
            token_backend.forget()
            made.append(get_token())
            assert [status(http, token) for token in made] == [200] * len(made)


def test_new_secret_key_ends_the_sessions_of_staff(db: None, settings: Settings) -> None:
    browser = Browser()
    browser.force_login(User.objects.create_superuser("boss"))
    assert browser.get("/admin/").status_code == 200
    settings.SECRET_KEY = "a new secret key that is as good as the one that was before"
    assert browser.get("/admin/").status_code == 302


@pytest.mark.parametrize("algorithm", ["ES256", "HS256"])
def test_new_secret_key_without_a_fallback_is_503_until_keys_are_rotated(
    http: APIClient,
    credentials: dict[str, str],
    get_token: GetToken,
    settings: Settings,
    algorithm: str,
) -> None:
    settings.JWT_ALGORITHM = algorithm
    keys.rotate(immediately=True)
    before = get_token()
    settings.SECRET_KEY = "a new secret key that is as good as the one that was before"
    keys.forget()
    description = "The service is temporarily unavailable; try again shortly."
    for response in (http.post("/login", credentials, format="json"), http.get("/readyz")):
        assert_error(response, 503, "temporarily_unavailable", description)
    assert status(http, before) == 401
    call_command("rotatekeys", "--now")
    assert (status(http, before), status(http, get_token())) == (401, 200)


def test_machine_with_a_wrong_secret_key_is_told_of_nothing_that_harms_the_others(
    http: APIClient,
    credentials: dict[str, str],
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings.SECRET_KEY = "a wrong secret key that only one of the machines has, by mistake"
    keys.forget()
    http.get("/readyz")
    settings.JWT_ALGORITHM = "ES384"
    keys.ensure_signing_key()
    with pytest.raises(CommandError) as refusal:
        call_command("rotatekeys")
    hints = [str(message.hint) for message in check_signing_key(["default"])]
    told = [str(refusal.value), *hints, *caplog.messages]
    assert len([text for text in told if "SECRET_KEY_FALLBACKS" in text]) == 4
    assert [text for text in told if "--now" in text] == []


def test_missing_keys_are_made_by_the_command_that_is_named(
    http: APIClient, credentials: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    SigningKey.objects.all().delete()
    keys.forget()
    assert http.get("/readyz").status_code == 503
    (told,) = (one.getMessage() for one in caplog.records if one.name == "api.translation")
    assert told.endswith("If there are no keys, `manage.py rotatekeys` makes one.")
    call_command("rotatekeys")
    assert http.get("/readyz").status_code == 200


def test_rotation_with_another_secret_key_makes_no_key_that_nobody_can_use(
    http: APIClient, get_token: GetToken, settings: Settings
) -> None:
    before = SigningKey.objects.get()
    settings.SECRET_KEY = "a new secret key that is as good as the one that was before"
    with pytest.raises(CommandError, match="SECRET_KEY_FALLBACKS"):
        call_command("rotatekeys")
    settings.JWT_ALGORITHM = "ES384"
    keys.ensure_signing_key()
    after = SigningKey.objects.get()
    assert (after.kid, after.verifies_until) == (before.kid, None)


# Other processes


def rotate_elsewhere(*arguments: str) -> None:
    """Rotate as another process would: this one's memory is none the wiser."""
    remembered = keys._keyring._keys
    call_command("rotatekeys", *arguments)
    keys._keyring._keys = remembered


@pytest.fixture
def uptime(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What `time.monotonic` says, to be moved."""
    uptime = [time.monotonic()]
    monkeypatch.setattr("api.keys.time.monotonic", lambda: uptime[0])
    return uptime


def test_another_process_is_followed_within_the_stated_time(
    http: APIClient, get_token: GetToken, uptime: list[float]
) -> None:
    token = get_token()
    rotate_elsewhere("--now")
    uptime[0] += keys.REFRESH.total_seconds() + 0.001
    assert status(http, token) == 401


def test_token_of_a_key_made_elsewhere_is_known_at_its_first_use(
    http: APIClient, get_token: GetToken, uptime: list[float]
) -> None:
    keys.signing_key()
    rotate_elsewhere("--now")
    remembered = keys._keyring._keys
    keys.forget()
    token = get_token()
    keys._keyring._keys = remembered
    uptime[0] += keys.RELOAD_INTERVAL.total_seconds() + 0.001
    assert status(http, token) == 200


def test_forged_key_ids_cost_one_query_a_second_in_all(
    http: APIClient,
    get_token: GetToken,
    uptime: list[float],
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    _, payload, signature = get_token().split(".")

    def forge(number: int) -> str:
        header = {"alg": "ES256", "kid": f"forged{number}", "typ": "at+jwt"}
        text = json.dumps(header, separators=(",", ":")).encode()
        return f"{base64.urlsafe_b64encode(text).rstrip(b'=').decode()}.{payload}.{signature}"

    with django_assert_num_queries(0):
        assert {status(http, forge(number)) for number in range(50)} == {401}
    uptime[0] += keys.RELOAD_INTERVAL.total_seconds() + 0.001
    with django_assert_num_queries(1):
        assert {status(http, forge(number)) for number in range(50)} == {401}


def test_good_token_costs_one_query(
    http: APIClient, get_token: GetToken, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    token = get_token()
    with django_assert_num_queries(1):
        assert status(http, token) == 200


@pytest.mark.skipif(connection.vendor != "postgresql", reason="runs on PostgreSQL; SQLite is below")
@pytest.mark.django_db(transaction=True)
def test_of_two_rotations_at_once_one_wins() -> None:
    call_command("migrate", verbosity=0)  # an earlier test may have emptied the table
    before = SigningKey.objects.count()
    start, outcomes = threading.Barrier(2), []

    def rotate() -> None:
        with closing(connection):
            start.wait(5)
            try:
                outcomes.append(keys.rotate().kid)
            except keys.RotationPendingError:
                outcomes.append("pending")

    threads = [threading.Thread(target=rotate) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(outcomes) == 2
    assert outcomes.count("pending") == 1
    assert SigningKey.objects.count() == before + 1


def test_of_two_commands_at_once_one_wins_on_sqlite(server: Server) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "manage.py", "rotatekeys"],
            cwd=PROJECT,
            env=server.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 1]
    assert "is published and signs from" in "".join(stderr for _, stderr in outputs)


class Load:
    """Logs in and calls `/private`, each time on a new connection, until it is stopped."""

    def __init__(self, server: Server, credentials: dict[str, str]) -> None:
        self.server, self.credentials = server, credentials
        self.statuses: set[int] = set()
        self.kids: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(3)]

    def login(self) -> str:
        body = json.dumps(self.credentials).encode()
        with urllib.request.urlopen(self._request("/login", body)) as response:
            return str(json.load(response)["access_token"])

    def private(self, token: str) -> int:
        try:
            with urllib.request.urlopen(self._request("/private", None, bearer(token))) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)

    def _request(
        self, path: str, body: bytes | None, headers: Any = None
    ) -> urllib.request.Request:
        headers = {"Content-Type": "application/json", **(headers or {})}
        return urllib.request.Request(self.server.url + path, body, headers)

    def _run(self) -> None:
        kept = self.login()
        while not self._stop.is_set():
            token = self.login()
            self.kids.append(kid_of(token))
            self.statuses |= {self.private(token), self.private(kept)}


def rotate_in_seconds(server: Server, *arguments: str) -> None:
    code = "import sys; from api.tests.support import short_key_times; "
    code += "from django.core.management import call_command; "
    code += "call_command('rotatekeys', *sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=PROJECT,
        env=server.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_rotation_under_load_refuses_nobody_and_at_once_refuses_everybody(server: Server) -> None:
    """Two workers, whose times `short_key_times.py` cuts to seconds, the stated one too."""
    credentials = json.loads(server.manage("createclient", "foo"))
    granian = [
        *GRANIAN[:-1],
        "api.tests.support.short_key_times:application",
        "--port",
        str(server.port),
    ]
    with server.running([*granian, "--workers", "2"]):
        with Load(server, credentials) as load:
            rotate_in_seconds(server)
            deadline = time.monotonic() + 15
            while len(set(load.kids)) < 2 and time.monotonic() < deadline:
                time.sleep(0.1)
            time.sleep(1)
        assert load.statuses == {200}
        assert len(set(load.kids)) == 2

        token = load.login()
        assert load.private(token) == 200
        rotate_in_seconds(server, "--now")
        time.sleep(1 + 1)  # REFRESH, and a second
        assert {load.private(token) for _ in range(40)} == {401}
        assert {load.private(load.login()) for _ in range(20)} == {200}
