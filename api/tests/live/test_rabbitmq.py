"""A client logs in here and publishes at RabbitMQ, which the admin's snippet configures."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pika
import pytest
import requests
from pika.exceptions import ChannelClosedByBroker, ProbableAuthenticationError

from api.tests.support.nginx import Nginx, documented_config, make_certificate
from api.tests.support.rabbitmq import RabbitMQ
from api.tests.support.server import Server

AUDIENCE = "urn:example:rabbitmq"
SNIPPET = """
from api.admin.connection import instructions
from api.models import Resource
shown = instructions(Resource.objects.get())
print(next(code for _, name, _, code in shown["snippets"] if name == "rabbitmq"))
"""
Connect = Callable[..., pika.BlockingConnection]


@pytest.fixture(scope="module")
def connect(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Connect]:
    """Return a function that makes a client, logs it in and connects it to RabbitMQ."""
    directory = tmp_path_factory.mktemp("rabbitmq")
    service = Server.with_copy(directory, migrated)
    certificate = make_certificate(directory)  # RabbitMQ fetches keys by https only
    config, _ = documented_config()
    nginx = Nginx(
        directory=directory,
        config=config.replace("$host", "$host:$server_port"),
        behind=service.port,
        certificate=certificate,
    )
    url = f"https://localhost:{nginx.port}"
    service.extra = {"PUBLIC_URL": url, "TRUSTED_PROXIES": "1"}
    service.manage("createresource", AUDIENCE)
    rabbitmq = RabbitMQ(
        directory=directory,
        config=f"{service.shell(SNIPPET)}\nauth_oauth2.https.cacertfile = {certificate}\n",
        plugin="rabbitmq_auth_backend_oauth2",
    )

    def connect(*scopes: str, resource: str = AUDIENCE) -> pika.BlockingConnection:
        options = [f"--scope={AUDIENCE}.{scope}:*/*" for scope in scopes]
        made = json.loads(service.manage("createclient", *options, "--resource", AUDIENCE))
        form = {"grant_type": "client_credentials", "resource": resource}
        credentials = made["client_id"], made["client_secret"]
        login = requests.post(
            f"{url}/login", form, auth=credentials, verify=str(certificate), timeout=10
        )
        proof = pika.PlainCredentials("", login.json()["access_token"])
        return pika.BlockingConnection(
            pika.ConnectionParameters("127.0.0.1", rabbitmq.port, credentials=proof)
        )

    with service.running(), nginx.running():
        rabbitmq.start()
        try:
            yield connect
        finally:
            rabbitmq.stop()


def test_client_publishes_and_reads_what_its_scopes_allow(connect: Connect) -> None:
    with connect("configure", "write", "read") as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("orders")
        channel.basic_publish("", "orders", b"two apples")
        _, _, body = channel.basic_get("orders", auto_ack=True)
    assert body == b"two apples"


def test_client_without_the_scope_may_not_publish(connect: Connect) -> None:
    with connect("read") as connection:
        channel = connection.channel()
        with pytest.raises(ChannelClosedByBroker, match="ACCESS_REFUSED"):
            channel.queue_declare("orders")


def test_token_for_this_service_opens_no_connection(connect: Connect) -> None:
    with pytest.raises(ProbableAuthenticationError, match="ACCESS_REFUSED"):
        connect("configure", "write", "read", resource="")
