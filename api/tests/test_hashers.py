"""What a generated secret looks like, and how the two kinds of secret are stored."""

import binascii
from typing import Any

import pytest
from django.contrib.auth.hashers import check_password, get_hasher, identify_hasher, make_password
from hypothesis import given
from hypothesis import strategies as st

from api.hashers import (
    ALPHABET,
    GENERATED,
    ChosenSecretHasher,
    GeneratedSecretHasher,
    generate_secret,
    is_generated,
)

generated_secrets = st.builds(generate_secret)


@given(generated_secrets)
def test_every_generated_secret_is_known_by_its_form(secret: str) -> None:
    assert is_generated(secret)
    assert len(secret) == 54
    assert secret.startswith("adsk_")
    assert secret[5:].isalnum()
    assert secret.isascii()


@given(generated_secrets, st.data())
def test_any_single_changed_character_is_noticed(secret: str, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(secret) - 1))
    other = data.draw(st.one_of(st.sampled_from(ALPHABET), st.characters()))
    changed = secret[:position] + other + secret[position + 1 :]
    assert is_generated(changed) == (changed == secret)


@given(generated_secrets, st.data())
def test_a_character_more_or_less_is_noticed(secret: str, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(secret)))
    more = data.draw(st.one_of(st.sampled_from(ALPHABET), st.characters()))
    assert not is_generated(secret[:position] + more + secret[position:])
    assert not is_generated(
        secret[:-1] if position == 54 else secret[:position] + secret[position + 1 :]
    )


@given(st.one_of(st.text(), st.from_regex(GENERATED)))
def test_nothing_else_has_the_form_but_for_its_checksum(text: str) -> None:
    if is_generated(text):
        assert GENERATED.fullmatch(text)
        number = 0
        for digit in text[-6:]:
            number = number * 62 + ALPHABET.index(digit)
        assert number == binascii.crc32(text[:-6].encode())


def test_generated_secrets_differ_and_use_all_their_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len({generate_secret() for _ in range(1000)}) == 1000
    drawn: list[int] = []

    def draw(bits: int) -> int:
        drawn.append(bits)
        return (1 << bits) - 1

    monkeypatch.setattr("api.hashers.secrets.randbits", draw)
    highest = generate_secret()
    monkeypatch.setattr("api.hashers.secrets.randbits", lambda bits: (1 << bits) - 2)
    assert drawn == [256]
    assert generate_secret() != highest


def test_each_kind_of_secret_is_stored_with_its_own_hash() -> None:
    secret = generate_secret()
    for hasher in ("default", "argon2", "generated_sha256"):
        stored = make_password(secret, hasher=hasher)
        assert identify_hasher(stored).algorithm == "generated_sha256"
        assert secret not in stored
        assert check_password(secret, stored)
        assert not check_password(generate_secret(), stored)
    stored = make_password("bar")
    assert stored.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
    assert check_password("bar", stored)
    assert not check_password("baz", stored)


def test_stored_secret_is_the_same_each_time_and_so_needs_no_salt() -> None:
    secret = generate_secret()
    assert make_password(secret) == make_password(secret)
    assert make_password("bar") != make_password("bar")


def test_summary_masks_the_hash() -> None:
    stored = make_password(generate_secret())
    summary = GeneratedSecretHasher().safe_summary(stored)
    assert summary["algorithm"] == "generated_sha256"
    digest = stored.split("$")[1]
    assert summary["hash"] == digest[:6] + "*" * 58


def test_chosen_secrets_get_the_preferred_hasher() -> None:
    assert isinstance(get_hasher(), ChosenSecretHasher)


@pytest.mark.parametrize("stored", [generate_secret(), "bar"])
def test_djangos_own_check_never_stores_a_secret_anew(stored: str) -> None:
    """Django would give a fast hash to the slow hasher, and so to the wrong one."""
    encoded = make_password(stored)
    set_again: list[Any] = []

    def setter(password: str) -> None:
        set_again.append(make_password(password).split("$")[0])

    assert check_password(stored, encoded, setter)
    assert set(set_again) <= {"generated_sha256"}
