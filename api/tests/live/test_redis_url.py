"""What `REDIS_URL` may say, and what a Redis may be that does not count, tried on real ones."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings
from redis import Redis as Client
from rest_framework.test import APIClient

from api.checks.neighbours import check_redis
from api.tests.support.certificates import Authority
from api.tests.support.needs import need
from api.tests.support.server import free_port
from api.tests.support.services import Redis, Sentinel, eventually
from api.throttling.redis import ERRORS, RedisStore
from api.throttling.store import Counter

pytestmark = [pytest.mark.redis, pytest.mark.fault]
LIMIT = 10  # the default
ONE = [Counter("failures", 1, limit=1, window=60)]
# What `docs/deploy.md` says that a user needs.
PERMISSIONS = "~authdemo:* +eval +evalsha +script|load +get +pttl +incrby +decrby +pexpire"
PASSWORD, ENCODED = "p@ss:/?#%", "p%40ss%3A%2F%3F%23%25"


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    need(shutil.which("redis-server"), "redis-server")


@dataclass
class Place:
    """A Redis with users and with TLS, and a Sentinel that can be asked for it."""

    directory: Path
    running: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.authority = Authority(self.directory / "authority.pem")
        self.other = Authority(self.directory / "other.pem")
        certificate, key = self.directory / "server.crt", self.directory / "server.key"
        self.authority.certify(certificate, key, "localhost")
        self.tls = free_port()
        options = (
            f"--tls-port {self.tls} --unixsocket {self.directory}/redis.sock --tls-auth-clients no"
        )
        options += f" --tls-cert-file {certificate} --tls-key-file {key}"
        options += f" --tls-ca-cert-file {self.authority.path} --dir {self.directory}"
        options += f" --user limited on >{PASSWORD} {PERMISSIONS}"
        self.redis = self.start(Redis(options=tuple(options.split())))
        master = f"sentinel monitor main 127.0.0.1 {self.redis.port} 1"
        self.sentinel = self.start(Sentinel(options=(master, "requirepass opensesame")))
        self.running.callback(shutil.rmtree, self.sentinel.directory)

    def start(self, neighbour: Any) -> Any:
        neighbour.start()
        self.running.callback(neighbour.stop)
        return neighbour

    def url(self, form: str) -> str:
        return form.format(
            port=self.redis.port, tls=self.tls, sentinel=self.sentinel.port, d=self.directory
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("redis"))
    with place.running:
        yield place


@pytest.fixture
def redis(place: Place) -> Iterator[Client]:
    """An administrator of the Redis, which is empty."""
    with Client(port=place.redis.port) as client:
        client.flushall()
        yield client


@pytest.mark.parametrize(
    "form",
    [
        pytest.param("redis://127.0.0.1:{port}/3", id="number"),
        pytest.param(f"redis://limited:{ENCODED}@127.0.0.1:{{port}}/0", id="user and password"),
        pytest.param("rediss://localhost:{tls}/0?ssl_ca_certs={d}/authority.pem", id="TLS"),
        pytest.param("unix://{d}/redis.sock?db=0", id="socket"),
        pytest.param(
            f"redis+sentinel://limited:{ENCODED}@127.0.0.1:1,127.0.0.1:{{sentinel}}/main/0"
            "?sentinel_password=opensesame",
            id="Sentinel",
        ),
    ],
)
def test_redis_counts_for_whom_the_url_names(
    place: Place, redis: Client, settings: Settings, form: str
) -> None:
    settings.REDIS_URL = place.url(form)
    assert check_redis() == []
    with closing(RedisStore(settings.REDIS_URL)) as store:
        assert [store.add(ONE), store.find_full(ONE) is None] == [None, False]
        store.take_back(ONE)
        assert store.find_full(ONE) is None


def attempts(http: APIClient, secret: str, number: int) -> list[int]:
    body = {"client_id": "reporting", "client_secret": secret}
    return [http.post("/login", body, format="json").status_code for _ in range(number)]


def assert_logins_are_limited_without_redis(
    http: APIClient, credentials: dict[str, str], caplog: pytest.LogCaptureFixture
) -> list[str]:
    """Return the lines of the log about Redis, with their level, that `/readyz` and logins make."""
    caplog.clear()
    assert http.get("/readyz").status_code == 200
    lines = [
        f"{record.levelname} {record.getMessage()}"
        for record in caplog.records
        if record.name == "api.throttling"
    ]
    assert attempts(http, "wrong", LIMIT + 1) == [401] * LIMIT + [429]
    assert attempts(http, credentials["client_secret"], 1) == [200]
    return lines


@pytest.mark.parametrize(
    ("begin", "end", "error"),
    [
        pytest.param(
            lambda redis: redis.config_set("maxmemory", 1),
            lambda redis: redis.config_set("maxmemory", 0),
            "OutOfMemoryError",
            id="full",
        ),
        pytest.param(
            lambda redis: redis.replicaof("127.0.0.1", 1),
            lambda redis: redis.replicaof("NO", "ONE"),
            "ReadOnlyError",
            id="read-only",
        ),
    ],
)
def test_redis_that_cannot_write_is_as_one_that_is_down(
    place: Place,
    redis: Client,
    http: APIClient,
    credentials: dict[str, str],
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    begin: Callable[[Client], object],
    end: Callable[[Client], object],
    error: str,
) -> None:
    settings.REDIS_URL = place.redis.url
    begin(redis)
    try:
        lines = assert_logins_are_limited_without_redis(http, credentials, caplog)
        assert lines == [f"ERROR Redis failed ({error}); counting in memory until it is back."]
        assert [message.id for message in check_redis()] == ["api.W005"]
    finally:
        end(redis)
    assert check_redis() == []


@pytest.mark.parametrize(
    ("form", "cause"),
    [
        pytest.param("redis://limited:wrong@127.0.0.1:{port}/0", "Authentication", id="password"),
        pytest.param(
            "rediss://localhost:{tls}/0?ssl_ca_certs={d}/other.pem", "certificate", id="authority"
        ),
        pytest.param(
            "rediss://127.0.0.1:{tls}/0?ssl_ca_certs={d}/authority.pem", "mismatch", id="name"
        ),
        pytest.param("redis://127.0.0.1:{port}/99", "DB index", id="number"),
        pytest.param(
            "redis+sentinel://127.0.0.1:{sentinel}/main/0?sentinel_password=wrong",
            "Authentication",
            id="password of the Sentinel",
        ),
    ],
)
def test_redis_that_refuses_for_good_is_an_error_and_no_outage(
    place: Place,
    redis: Client,
    http: APIClient,
    credentials: dict[str, str],
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    form: str,
    cause: str,
) -> None:
    settings.REDIS_URL = place.url(form)
    assert_refused(http, credentials, caplog, cause)


def assert_refused(
    http: APIClient, credentials: dict[str, str], caplog: pytest.LogCaptureFixture, cause: str
) -> None:
    (line,) = assert_logins_are_limited_without_redis(http, credentials, caplog)
    assert line.startswith("WARNING Redis refuses us (")
    assert cause in line
    assert "wrong" not in line
    assert [message.id for message in check_redis()] == ["api.E007"]


@pytest.mark.parametrize(
    ("lacking", "cause"),
    [("evalsha", "NoPermissionError"), ("incrby", "The user executing the script can't")],
)
def test_redis_that_lacks_a_permission_is_an_error(
    place: Place,
    redis: Client,
    http: APIClient,
    credentials: dict[str, str],
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    lacking: str,
    cause: str,
) -> None:
    settings.REDIS_URL = place.url("redis://weak:weak@127.0.0.1:{port}/0")
    keys, *commands = PERMISSIONS.split()
    redis.acl_setuser(
        "weak",
        enabled=True,
        passwords="+weak",
        keys=[keys[1:]],
        commands=[*commands, f"-{lacking}"],
    )
    assert_refused(http, credentials, caplog, cause)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Redis]:
    """One of two nodes of a cluster, each with half of the slots."""
    nodes, buses = [], [free_port(), free_port()]
    with ExitStack() as running:
        for bus in buses:
            directory = tmp_path / str(bus)
            directory.mkdir()
            options = f"--cluster-enabled yes --cluster-port {bus} --dir {directory}"
            node = Redis(options=tuple(options.split()))
            node.start()
            running.callback(node.stop)
            nodes.append(node)
        one, other = [running.enter_context(Client(port=node.port)) for node in nodes]
        one.cluster("ADDSLOTSRANGE", 0, 8191)
        other.cluster("ADDSLOTSRANGE", 8192, 16383)
        one.cluster("MEET", "127.0.0.1", nodes[1].port, buses[1])
        eventually(lambda: one.cluster("INFO")["cluster_state"] == "ok", 30)
        yield nodes[0]


def test_node_of_a_cluster_is_an_error(
    node: Redis,
    http: APIClient,
    credentials: dict[str, str],
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings.REDIS_URL = node.url

    def warned() -> bool:
        """Tell whether `/readyz` has met a slot of the other node."""
        assert http.get("/readyz").status_code == 200
        return "WARNING" in caplog.text

    eventually(warned)
    assert "Redis refuses us (MovedError: " in caplog.text
    assert attempts(http, credentials["client_secret"], 3) == [200] * 3
    assert attempts(http, "wrong", 2 * LIMIT)[-1] == 429
    assert [message.id for message in check_redis()] == ["api.E007"]


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_master_that_sentinel_promotes_is_used(tmp_path: Path, tls: bool) -> None:
    authority = Authority(tmp_path / "authority.pem")
    certificate, key = tmp_path / "server.crt", tmp_path / "server.key"
    authority.certify(certificate, key, "127.0.0.1")

    def options(port: int) -> list[str]:
        if not tls:
            return []
        files = [f"tls-cert-file {certificate}", f"tls-key-file {key}"]
        files += [f"tls-ca-cert-file {authority.path}", "tls-auth-clients no"]
        return ["port 0", f"tls-port {port}", "tls-replication yes", *files]

    def start(*more: str) -> Redis:
        redis = Redis()
        lines = [*options(redis.port), f"dir {tmp_path}", *more]
        redis.options = tuple(f"--{' --'.join(lines)}".split())
        redis.start()
        running.callback(redis.stop)
        return redis

    def counts() -> bool:
        """Tell whether the master has the count."""
        try:
            return store.find_full(ONE) is not None
        except ERRORS:
            return False

    with ExitStack() as running:
        master = start("dbfilename master.rdb")
        replica = start(f"replicaof 127.0.0.1 {master.port}")
        sentinel = Sentinel()
        sentinel.options = (
            *options(sentinel.port),
            f"sentinel monitor main 127.0.0.1 {master.port} 1",
            "sentinel down-after-milliseconds main 500",
            "sentinel failover-timeout main 2000",
        )
        sentinel.start()
        running.callback(sentinel.remove)
        scheme, query = ("rediss", f"?ssl_ca_certs={authority.path}") if tls else ("redis", "")
        store = RedisStore(f"{scheme}+sentinel://127.0.0.1:{sentinel.port}/main{query}")
        running.callback(store.close)
        assert store.add(ONE) is None
        client = Client.from_url(f"{scheme}://127.0.0.1:{replica.port}{query}")
        running.callback(client.close)
        eventually(lambda: client.get("authdemo:failures") == b"1", 20)
        master.stop()
        assert not counts()
        eventually(counts, 20)
        assert client.info("replication")["role"] == "master"
