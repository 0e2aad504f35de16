"""Clients that move in: the files of other login services, and their hashes."""

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone
from rest_framework.test import APIClient

from api import client_keys, clients, public_keys
from api.credentials import NO_SECRET, create_client
from api.foreign_hashes import UnreadableHashError, to_django
from api.hashers import GeneratedSecretHasher, generate_secret
from api.importing.create import NOT_RANDOM
from api.jose import PrivateKeyError
from api.models import (
    Client,
    ClientKey,
    ClientProfile,
    ResourceGrant,
    WorkloadIdentity,
    validate_client_id,
)
from api.resources import create_resource, set_grants
from api.tests.support.assertions import KeyPair
from api.trust import add_identity, trust_issuer

SECRET = "s3cret of ünicode"
HASH = make_password(SECRET, hasher="pbkdf2_sha256")
# Hydra writes PBKDF2 as PHC does; passlib's spelling is another.
PHC_PBKDF2 = (
    "$pbkdf2-sha256$i=1000,l=32$/x8jRGiNsTYGIATgfI8RIg$02zG9UXJUBi9pWA6AT/+DS+JLMR/OMrq3ihlvcnKUds"
)
HASHES = {
    "django-pbkdf2-sha256": HASH,
    "django-pbkdf2-sha1": make_password(SECRET, hasher="pbkdf2_sha1"),
    "django-scrypt": make_password(SECRET, hasher="scrypt"),
    "django-bcrypt": make_password(SECRET, hasher="bcrypt"),
    "django-bcrypt-sha256": make_password(SECRET, hasher="bcrypt_sha256"),
    # passlib 1.7.4 made these.
    "passlib-pbkdf2-sha1": "$pbkdf2$1000$HeP8v1fq/V8rhTAmJEQIoQ$RYF0Qyi2JA1eQBKiQTSn2c4XtgY",
    "passlib-pbkdf2-sha256": "$pbkdf2-sha256$1000$/x8jRGiNsTYGIATgfI8RIg$02zG9UXJUBi9pWA6A"
    "T/.DS.JLMR/OMrq3ihlvcnKUds",
    "passlib-pbkdf2-sha512": "$pbkdf2-sha512$600000$NwZgjJGytvY.h1DKufdeyw$yRZhWPeMozH8H.u"
    "aVWsxAI/hA1WqNo.HmbVqLDf1iJkGeL3OGPcS.XRFUI92u2OqdpmerALHapZQ5IBds0D3ZA",
    "passlib-scrypt": "$scrypt$ln=10,r=8,p=1$bS3lHKOU8h7DmBNCKOX835vzXuvdm/Oe0xpDqJ"
    "USImQ$jkKoADeyjkk6fyT3MQzBxHNM9MmJ2nA2pDNc0uxnPDY",
    "passlib-argon2i": "$argon2i$v=19$m=8192,t=3,p=4$2xujdA5BKGVMKaUU4ry3tg$MmzKhDyY"
    "xgfcPBSyTjTHtkkScSQU+/oOqLP+A4mzCZM",
    "phc-pbkdf2-sha256": PHC_PBKDF2,
    "bcrypt-2a": "$2a" + make_password(SECRET, hasher="bcrypt").partition("$$2b")[2],
    "bcrypt-2y": "$2y" + make_password(SECRET, hasher="bcrypt").partition("$$2b")[2],
}


@pytest.fixture
def import_text(
    db: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[dict[str, int], str]]:
    """Return a function that imports a text and returns the counts, and what was refused."""

    def run(text: str, *options: str) -> tuple[dict[str, int], str]:
        file, out, err = tmp_path / "clients", StringIO(), StringIO()
        file.write_text(text)
        try:
            call_command("importclients", str(file), *options, stdout=out, stderr=err)
        except CommandError as error:
            err.write(str(error))
        return json.loads(out.getvalue() or "{}"), err.getvalue()

    return run


Import = Callable[..., tuple[dict[str, int], str]]


def log_in(http: APIClient, client_id: str, secret: str) -> Any:
    return http.post("/login", {"client_id": client_id, "client_secret": secret}, format="json")


@pytest.mark.parametrize("encoded", HASHES.values(), ids=HASHES)
def test_hash_is_taken_over_and_upgraded_at_the_first_login(
    http: APIClient, import_text: Import, encoded: str
) -> None:
    line = json.dumps({"client_id": "moved", "client_secret_hash": encoded})
    assert import_text(line) == ({"created": 1, "existing": 0, "refused": 0}, "")
    assert log_in(http, "moved", "wrong").status_code == 401
    assert log_in(http, "moved", SECRET).status_code == 200
    assert Client.objects.get().password.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
    assert log_in(http, "moved", SECRET).status_code == 200


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        pytest.param("md5$salt$0123456789abcdef", "The hash is of an unknown kind.", id="md5"),
        pytest.param("plain", "The hash is of an unknown kind.", id="no hash"),
        pytest.param("pbkdf2_sha256$x", "The pbkdf2_sha256 hash is malformed.", id="cut off"),
        pytest.param(
            "$pbkdf2-sha256$99999999$c2FsdA$" + 43 * "A",
            "A check of the hash would take too long.",
            id="slow PBKDF2",
        ),
        pytest.param(
            "pbkdf2_sha256$2000000000$salt$" + 43 * "A",
            "A check of the hash would take too long.",
            id="slow PBKDF2 of Django",
        ),
        pytest.param(
            "$scrypt$ln=14,r=8,p=9999$c2FsdA$" + 43 * "A",
            "A check of the hash would take too long.",
            id="slow scrypt",
        ),
        pytest.param(
            "scrypt$1048576$salt$8$1$" + 43 * "A",
            "A check of the hash would take too much memory.",
            id="large scrypt of Django",
        ),
        pytest.param(
            "$argon2id$v=19$m=262144,t=9999,p=1$c2FsdHNhbHQ$" + 43 * "A",
            "A check of the hash would take too long.",
            id="slow Argon2",
        ),
        pytest.param(
            "argon2$argon2id$v=19$m=9999999,t=1,p=1$c2FsdHNhbHQ$" + 43 * "A",
            "A check of the hash would take too much memory.",
            id="large Argon2 of Django",
        ),
        pytest.param(
            "bcrypt_sha256$$2b$31$" + 53 * "a",
            "A check of the hash would take too long.",
            id="slow bcrypt of Django",
        ),
        pytest.param(
            "$scrypt$ln=30,r=8,p=1$c2FsdA$" + 43 * "A",
            "A check of the hash would take too much memory.",
            id="large scrypt",
        ),
        pytest.param(
            "$argon2id$v=19$m=9999999,t=1,p=1$c2FsdHNhbHQ$" + 43 * "A",
            "A check of the hash would take too much memory.",
            id="large Argon2",
        ),
        pytest.param(
            "$2b$31$" + 53 * "a", "A check of the hash would take too long.", id="slow bcrypt"
        ),
        pytest.param("$pbkdf2-sha256$1000$c2FsdA$A", "The hash is not in base64.", id="base64"),
        pytest.param("$pbkdf2-sha256$1000$c2FsdA$AAAA", "The hash is too short.", id="short"),
        pytest.param(
            f"argon2$argon2id$v=19$m=8,t=1,p=1${100 * 'a'}$a",
            "The hash has more than 128 characters.",
            id="long",
        ),
    ],
)
def test_hash_that_cannot_be_checked_is_refused(encoded: str, reason: str) -> None:
    with pytest.raises(UnreadableHashError, match=f"^{reason}$"):
        to_django(encoded)


REALM = {
    "realm": "demo",
    "clients": [
        {
            "clientId": "billing",
            "name": "Billing",
            "secret": SECRET,
            "enabled": False,
            "serviceAccountsEnabled": True,
            "defaultClientScopes": ["roles", "read"],
            "optionalClientScopes": ["write", "offline_access"],
        },
        {"clientId": "account-console", "publicClient": True},
        {"clientId": "web", "secret": SECRET, "serviceAccountsEnabled": False},
        {"clientId": "masked", "secret": "**********", "serviceAccountsEnabled": True},
    ],
}
USERS = [
    {"model": "auth.group", "pk": 7, "fields": {"name": "read", "permissions": []}},
    *(
        {
            "model": "auth.user",
            "pk": pk,
            "fields": {
                "username": name,
                "first_name": "Billing",
                "last_name": "",
                "password": HASH,
                "is_active": False,
                "is_staff": name == "boss",
                "is_superuser": False,
                "groups": groups,
            },
        }
        for pk, (name, groups) in enumerate(
            [("billing", [7, ["write"]]), ("boss", []), ("lost", [8])], 1
        )
    ),
]
HYDRA = {
    "items": [
        {
            "client_id": "billing",
            "client_name": "Billing",
            "client_secret": PHC_PBKDF2,
            "scope": "read write",
            "grant_types": ["client_credentials"],
        },
        {"client_id": "web", "client_secret": SECRET, "grant_types": ["authorization_code"]},
        {"client_id": "empty", "grant_types": ["client_credentials"]},
    ]
}
CSV = (
    "client_id,client_name,scope,active,client_secret,client_secret_hash\n"
    f'billing,Billing,read write,false,"{SECRET}",\n'
    "none,,,,,\n"
    f"both,,,,{SECRET},{HASH}\n"
    f"scope,,umlaut-ä,,{SECRET},\n"
    f"billing,,,,{SECRET},\n"
    f"off,,,off,{SECRET},\n"
)
COLUMNS = (
    "The first line must name columns among active, client_id, client_name, client_secret, "
    "client_secret_expires_at, client_secret_hash, default_resource, resources, scope, "
    "token_endpoint_auth_method."
)
PRIVATE = str(PrivateKeyError())
UNSTORABLE = "It has characters that cannot be stored."
HELD = "The client has this key already. Remove it there first."
EXPIRED = "The key would have expired already."
UNTRUSTED = "The issuer 'https://issuer.example.com' is not trusted here."
WRONG = "A member is missing or of a wrong type."
NEEDS_ONE = "It needs a secret, or the hash of one."


@pytest.mark.parametrize(
    ("text", "refused", "is_active"),
    [
        pytest.param(
            json.dumps(REALM),
            {
                "account-console": "It is a public client, which has no secret.",
                "web": "It does not use the client credentials grant.",
                "masked": "Its secret is masked; export the realm on the server.",
            },
            False,
            id="Keycloak",
        ),
        pytest.param(
            json.dumps(USERS),
            {
                "boss": "It is staff, not a client.",
                "lost": "Its groups are missing; dump auth.group too.",
            },
            False,
            id="Django",
        ),
        pytest.param(
            json.dumps(HYDRA),
            {"web": "Its grant types lack client_credentials.", "empty": NEEDS_ONE},
            True,
            id="Hydra",
        ),
        pytest.param(
            CSV,
            {
                "off": "Its active is neither true nor false.",
                "none": NEEDS_ONE,
                "both": NEEDS_ONE,
                "scope": "One of its scopes is malformed (RFC 6749 §3.3).",
                "billing": "The client id appears twice in the file.",
            },
            False,
            id="CSV",
        ),
    ],
)
def test_file_of_another_service_is_read(
    http: APIClient, import_text: Import, text: str, refused: dict[str, str], is_active: bool
) -> None:
    counts, report = import_text(text)
    assert counts == {"created": 1, "existing": 0, "refused": len(refused)}
    assert report.splitlines() == [
        *(f"{client_id!r}: {reason}" for client_id, reason in refused.items()),
        f"{len(refused)} clients were refused; see above.",
    ]
    client = Client.objects.get()
    scopes = sorted(client.groups.values_list("name", flat=True))
    assert (client.username, client.first_name, client.is_active, scopes) == (
        "billing",
        "Billing",
        is_active,
        ["read", "write"],
    )
    Client.objects.update(is_active=True)
    assert log_in(http, "billing", SECRET).json()["scope"] == "read write"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param('{"client_id": "a"}\n{"client', "Line 2 is not JSON.", id="JSON"),
        pytest.param(
            "id,secret\na,b\n",
            COLUMNS,
            id="CSV",
        ),
        pytest.param(
            "",
            COLUMNS,
            id="empty",
        ),
    ],
)
def test_file_that_cannot_be_read_changes_nothing(
    import_text: Import, text: str, reason: str
) -> None:
    assert import_text(text) == ({}, f"The file cannot be read: {reason}")
    assert not Client.objects.exists()


def test_row_that_cannot_be_stored_stops_no_other(import_text: Import) -> None:
    rows = [
        {"client_id": "a\ud800", "client_secret": "x"},
        {"client_id": "b", "client_secret": "\ud800"},
        {"client_id": "c", "client_secret": "x", "client_name": "\0"},
        {"client_id": "d", "client_secret": 5},
        {"client_secret": "x"},
        {"client_id": "os:root", "client_secret": "x"},
        {"client_id": "good", "client_secret": "x"},
    ]
    counts, report = import_text("\n".join(map(json.dumps, rows)))
    assert counts == {"created": 1, "existing": 0, "refused": 6}
    assert report.splitlines() == [
        "'a\\ud800': It has characters that cannot be stored.",
        "'b': It has characters that cannot be stored.",
        "'c': It has characters that cannot be stored.",
        "'d': A member is missing or of a wrong type.",
        "'number 5': A member is missing or of a wrong type.",
        f"'os:root': {validate_client_id.message}",
        "6 clients were refused; see above.",
    ]


def test_one_refused_client_is_one(import_text: Import) -> None:
    counts, report = import_text("client_id\nbilling\n")
    assert counts == {"created": 0, "existing": 0, "refused": 1}
    assert report.endswith("\n1 client was refused; see above.")


def test_import_can_be_run_again_and_tried_before(import_text: Import) -> None:
    lines = "".join(
        json.dumps({"client_id": f"client-{n}", "client_secret": generate_secret()}) + "\n"
        for n in range(3)
    )
    create_client("client-1")
    expected = {"created": 2, "existing": 1, "refused": 0}
    assert import_text(lines, "--dry-run") == (expected, "")
    assert Client.objects.count() == 1
    assert import_text(lines) == (expected, "")
    assert import_text(lines) == ({"created": 0, "existing": 3, "refused": 0}, "")
    stored = Client.objects.get(username="client-0").password
    assert stored.startswith(GeneratedSecretHasher.algorithm)


def test_plain_secrets_that_are_random_get_the_fast_hash(
    http: APIClient, import_text: Import
) -> None:
    secrets = {
        "keycloak": "kqVbU4yD8mZ2nT6wX0cR5aJ9eL3gH7sP",
        "uuid": "123e4567-e89b-42d3-a456-426614174000",
        "ours": generate_secret(),
        "short": "kqVbU4yD8mZ2nT6wX0cR5aJ9eL3gH7s",
        "words": "correct horse battery staple and more",
        "foreign": "ünbvU4yD8mZ2nT6wX0cR5aJ9eL3gH7sP",
        "line": "kqVbU4yD8mZ2nT6wX0cR5aJ9eL3gH7sP\n",
    }
    rows = [{"client_id": name, "client_secret": secrets[name]} for name in secrets]
    rows.append({"client_id": "hash", "client_secret_hash": HASH})
    text = "\n".join(map(json.dumps, rows))
    for options in (["--dry-run"], []):
        counts, report = import_text(text, "--generated", *options)
        assert counts == {"created": 4, "existing": 0, "refused": 4}
        assert report.splitlines() == [
            *(f"{name!r}: {NOT_RANDOM}" for name in ("short", "words", "foreign", "line")),
            "4 clients were refused; see above.",
        ]
    stored = dict(Client.objects.values_list("username", "password"))
    for name in ("keycloak", "uuid", "ours"):
        assert stored[name].startswith("generated_sha256$")
        assert log_in(http, name, secrets[name]).status_code == 200
        assert log_in(http, name, secrets[name][:-1]).status_code == 401
    assert stored["hash"] == HASH


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        pytest.param("soon", WRONG, id="no number"),
        pytest.param([1], WRONG, id="list"),
        pytest.param("1", "The secret would have expired already.", id="past"),
        pytest.param(-1, "The secret would have expired already.", id="negative"),
        pytest.param(10**12, WRONG, id="no year"),
        pytest.param(10**99, WRONG, id="no time"),
        pytest.param(float("inf"), WRONG, id="infinite"),
        pytest.param(float("nan"), WRONG, id="NaN"),
        pytest.param("0", None, id="never"),
    ],
)
def test_time_that_no_secret_can_have_is_refused(
    db: None, import_text: Import, end: Any, reason: str | None
) -> None:
    row = {"client_id": "a", "client_secret": SECRET, "client_secret_expires_at": end}
    counts, report = import_text(json.dumps(row))
    assert counts == {"created": int(reason is None), "existing": 0, "refused": int(bool(reason))}
    assert report.splitlines()[:1] == ([f"'a': {reason}"] if reason else [])


def stored() -> list[list[Any]]:
    """Return all that is stored of clients, but the numbers and times of rows."""
    tables: dict[Any, tuple[str, ...]] = {
        Client: ("username", "first_name", "is_active", "password", "profile__secret_expires_at"),
        ClientKey: ("client__username", "kid", "jwk_kid", "jwk", "name", "expires_at"),
        WorkloadIdentity: ("client__username", "issuer__url", "subject", "claims"),
        ResourceGrant: ("client__username", "resource__identifier", "is_default"),
        Client.groups.through: ("user__username", "group__name"),
    }
    rows = [list(table.objects.values_list(*columns)) for table, columns in tables.items()]
    methods = ClientProfile.objects.exclude(auth_method="")
    return [sorted(some, key=repr) for some in (*rows, methods.values_list("client__username"))]


def test_export_gives_everything_back(http: APIClient, import_text: Import) -> None:
    billing, secret = create_client("billing", name="Billing", scopes=["write", "read"])
    set_grants(billing, [create_resource("urn:example:stock")], create_resource("urn:example:bill"))
    create_client("chosen", secret=SECRET, secret_expires_at=timezone.now() + timedelta(days=1))
    Client.objects.filter(username="chosen").update(is_active=False)
    signer, _ = create_client("signer", secret=NO_SECRET)
    pair, end = KeyPair.generate(), (timezone.now() + timedelta(days=9)).replace(microsecond=0)
    client_keys.add(signer, public_keys.read(pair.public_pem), name="Laptop", expires_at=end)
    clients.restrict(signer, client_keys.METHOD)
    issuer = trust_issuer(
        "https://issuer.example.com", given=json.dumps({"keys": [pair.jwk | {"kid": "1"}]})
    )
    workload, _ = create_client("workload", secret=NO_SECRET)
    add_identity(workload, issuer, "system:serviceaccount:a:b", {"team": "red"})
    User.objects.filter(pk__in=[signer.pk, workload.pk]).update(password="!")  # without a secret
    create_client("nothing", secret=NO_SECRET)
    out, left_out = StringIO(), StringIO()
    call_command("exportclients", stdout=out, stderr=left_out)
    assert secret not in out.getvalue()
    assert left_out.getvalue().splitlines() == ["'nothing': It has no credential."]
    Client.objects.filter(username="nothing").delete()
    before = stored()
    Client.objects.all().delete()
    counts = {"created": 4, "existing": 0, "refused": 0}
    assert import_text(out.getvalue(), "--dry-run") == (counts, "")
    assert not Client.objects.exists()
    assert import_text(out.getvalue()) == (counts, "")
    User.objects.filter(password__startswith="!").update(password="!")
    assert stored() == before
    assert log_in(http, "chosen", SECRET).status_code == 401
    assert log_in(http, "billing", secret).status_code == 200


JWK = KeyPair.generate().jwk
IDENTITY = {"issuer": "https://issuer.example.com", "subject": "a"}


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        pytest.param({"keys": [{"jwk": {"kty": "oct", "k": "AA"}}]}, PRIVATE, id="HMAC"),
        pytest.param({"keys": [{}]}, WRONG, id="no key"),
        pytest.param({"keys": [{"jwk": "text"}]}, "A JWK is a JSON object.", id="key is a text"),
        pytest.param({"keys": 5}, WRONG, id="keys are a number"),
        pytest.param({"keys": [{"jwk": JWK, "name": "a\0b"}]}, UNSTORABLE, id="NUL"),
        pytest.param({"keys": [{"jwk": JWK}] * 2}, HELD, id="key twice"),
        pytest.param({"keys": [{"jwk": JWK, "expires_at": 1}]}, EXPIRED, id="expired key"),
        pytest.param({"identities": [IDENTITY]}, UNTRUSTED, id="issuer"),
        pytest.param({"identities": [IDENTITY | {"claims": {"c": 1}}]}, WRONG, id="claim"),
        pytest.param(
            {"keys": [{"jwk": JWK}], "resources": "urn:example:none"},
            "There is no API 'urn:example:none'.",
            id="API",
        ),
        pytest.param(
            {"keys": [{"jwk": JWK}], "token_endpoint_auth_method": "none"},
            "Its token_endpoint_auth_method is unknown.",
            id="method",
        ),
    ],
)
def test_client_whose_keys_identities_or_apis_are_not_usable_is_refused_as_a_whole(
    db: None, import_text: Import, members: dict[str, Any], reason: str
) -> None:
    rows = [{"client_id": "bad", **members}, {"client_id": "good", "client_secret": SECRET}]
    counts, report = import_text("\n".join(map(json.dumps, rows)))
    assert counts == {"created": 1, "existing": 0, "refused": 1}
    assert report.splitlines()[0] == f"'bad': {reason}"
    assert [client.username for client in Client.objects.all()] == ["good"]
