"""Parameters and metadata: what is refused, and that an added validator is asked."""

from dataclasses import replace
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from rest_framework.test import APIClient

from api import parameters
from api.parameters import Parameter, ParameterError
from api.serializers import RegistrationSerializer
from api.tests.support.responses import assert_error

LIMITED = Parameter("limited", max_length=3)


def refuse_write(value: str) -> None:
    if "write" in value:
        raise ValidationError("This is not a day for writing.")


def test_validator_that_is_added_to_a_parameter_is_asked(
    http: APIClient, credentials: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    validators = (*parameters.SCOPE.validators, refuse_write)
    monkeypatch.setattr(parameters, "SCOPE", replace(parameters.SCOPE, validators=validators))
    response = http.post("/login", credentials | {"scope": "write"}, format="json")
    assert_error(response, 400, "invalid_request", "scope is malformed.")
    response = http.post("/login", credentials | {"scope": "read"}, format="json")
    assert response.status_code == 200


@pytest.mark.django_db
def test_validator_that_is_added_to_a_serializer_is_asked(
    http: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def validate(_self: Any, data: dict[str, Any]) -> dict[str, Any]:
        refuse_write(data["client_name"])
        return data

    monkeypatch.setattr(RegistrationSerializer, "validate", validate)
    response = http.post("/register", {"client_name": "I write"}, format="json")
    assert (response.status_code, response.json()["error"]) == (400, "invalid_client_metadata")
    assert http.post("/register", {"client_name": "I read"}, format="json").status_code == 201


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        pytest.param({}, None, id="absent"),
        pytest.param({"limited": None}, None, id="null"),
        pytest.param({"limited": ""}, None, id="empty"),
        pytest.param({"limited": " a\n"}, " a\n", id="untrimmed"),
        pytest.param({"limited": "\U0001f511é1"}, "\U0001f511é1", id="not-ascii"),
    ],
)
def test_value_is_read_as_it_was_sent(sent: dict[str, Any], read: str | None) -> None:
    assert LIMITED.read(sent) == read


@pytest.mark.parametrize(
    "value", ["long", "a\0", "\ud800", 1, 0, True, False, ["a"], {}, 1.5, b"a"], ids=repr
)
def test_malformed_value_is_refused_and_not_repeated(value: Any) -> None:
    with pytest.raises(ParameterError) as refusal:
        LIMITED.read({"limited": value})
    assert str(refusal.value) == "limited is malformed."


def test_required_parameter_that_is_absent_is_named() -> None:
    with pytest.raises(ParameterError, match=r"^limited is required\.$"):
        LIMITED.require({"limited": ""})
