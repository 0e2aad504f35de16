"""Show that no header of a stranger fills memory, causes an error or takes long.

    pip install -r benchmarks/requirements.txt
    python benchmarks/fuzz_headers.py

Sends requests with made-up headers, one at a time, to a server of its own: names of media types,
charsets, languages and encodings, cookies, forwarded headers; short and of 8 KiB, ASCII and not.
It notes the server's memory after a warm-up, in which caches of a fixed size fill. It fails if the
memory grows by more than 2 % from then on, if an answer is a 500, or if one takes 20 ms of CPU.
"""

import argparse
import http.client
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from databases import scratch
from harness import Server, end_in_order, processors
from report import markdown
from systems import Ours

MOST_GROWTH = 0.02
MOST_CPU = 0.02  # seconds of one call
LARGE = 8 * 1024  # characters
PATHS = (
    *("/", "/public", "/private", "/livez", "/login", "/introspect", "/schema", "/docs"),
    *("/admin/", "/admin/login/", "/static/api/pages.css", "/nowhere"),
)
ASCII = bytes(0x20 + number % 0x5F for number in range(256))  # a table for bytes.translate
LATIN1 = bytes(ASCII[number] if number < 0x80 else number for number in range(256))
NAMES = bytes(b"abcdefghijklmnopqrstuvwxyz012345"[number % 32] for number in range(256))
PUNCTUATION = b";,=\"*%\\ /:'a\xe9"


def text(characters: bytes = ASCII) -> bytes:
    """Return made-up text: mostly short, sometimes of 8 KiB, sometimes one thing repeated."""
    match random.randrange(8):
        case 0:
            return random.randbytes(LARGE).translate(characters)
        case 1:
            piece = bytes(random.choices(PUNCTUATION, k=random.randint(1, 4)))
            return (piece * LARGE)[:LARGE]
        case _:
            return random.randbytes(random.randint(0, 40)).translate(characters)


def name() -> bytes:
    """Return a made-up name, such as a codec's, which no two calls have in common."""
    return random.randbytes(random.choice([8, 20, 100])).translate(NAMES)


def media_range() -> bytes:
    kind = random.choice([b"*/*", b"text/html", b"application/json", name() + b"/" + name()])
    parameter = random.choice(
        [
            b"",
            b";q=0.%d" % random.randrange(10),
            b";charset=" + name(),
            b";" + name() + b"*=" + name() + b"''a",
            b";" + name() + b"*0*=" + name() + b"''a",
            b";" + text(),
        ]
    )
    return kind + parameter


def listed(one: Callable[[], bytes]) -> Callable[[], bytes]:
    return lambda: b", ".join(one() for _ in range(random.choice([1, 5, 60])))[:LARGE]


def content_type() -> bytes:
    kind = random.choice(
        [b"application/json", b"application/x-www-form-urlencoded", b"multipart/form-data", name()]
    )
    return kind + random.choice([b";charset=", b";x*=", b";boundary=", b";"]) + name() + b"''a"


def cookie() -> bytes:
    known = [b"access_token", b"csrftoken", b"sessionid", b"messages", name()]
    quote = random.choice([b"", b'"'])
    values = (quote + text(LATIN1) + quote for _ in range(random.randint(1, 4)))
    pairs = (random.choice(known) + b"=" + value for value in values)
    return b"; ".join(pairs)


def address() -> bytes:
    return random.choice([b"192.0.2.%d" % random.randrange(256), b"2001:db8::1", b"\xe9", name()])


HEADERS: dict[str, Callable[[], bytes]] = {
    "Accept": listed(media_range),
    "Accept-Charset": listed(name),
    "Accept-Encoding": listed(name),
    "Accept-Language": listed(name),
    "Authorization": lambda: random.choice([b"Bearer ", b"Basic !", b"", name()]) + text(LATIN1),
    "Content-Encoding": name,
    "Content-Language": name,
    "Content-Type": content_type,
    "Content_Type": content_type,  # a WSGI server may take it for the other
    "Cookie": cookie,
    "Forwarded": lambda: b"for=" + text(LATIN1),
    "Host": lambda: random.choice([b"localhost", name(), text(LATIN1)]),
    "If-Modified-Since": text,
    "If-None-Match": text,
    "Origin": lambda: random.choice([b"http://localhost:8000", b"http://" + name() + text()]),
    "Range": lambda: b"bytes=" + text(),
    "Referer": lambda: b"http://" + name() + text(LATIN1),
    "User-Agent": lambda: text(LATIN1),
    "X-CSRFToken": text,
    "X-Forwarded-For": listed(address),
    "X-Forwarded-Host": name,
    "X-Forwarded-Proto": lambda: random.choice([b"https", b"http", name()]),
    "X-Requested-With": text,
}


def target() -> str:
    path = random.choice(PATHS)
    if random.random() < 0.3:
        path += "?next=/" + name().decode() + "&x=" * random.choice([0, 1, LARGE // 3])
    return path


def body(kind: bytes) -> bytes:
    """Return a body whose parts, if it has any, name charsets of their own."""
    part = b'--b\r\nContent-Disposition: form-data; name="a"; x*=' + name() + b"''a\r\n\r\n\r\n"
    return part * 3 + b"--b--\r\n" if b"multipart" in kind else b"{}"


class Fuzzed(Ours):
    extra = {"TRUSTED_PROXIES": "1", "FAILED_LOGINS_PER_ADDRESS": "1000000/minute"}


@dataclass
class Result:
    statuses: Counter[int | str] = field(default_factory=Counter)
    most_cpu: float = 0.0  # seconds
    slowest: str = ""


def cpu(pids: list[int]) -> float:
    """Return the CPU time of processes, each by its own clock: see clock_getcpuclockid(3).

    The kernel's other figures count in ticks of 10 ms.
    """
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, bytes]
    body: bytes | None

    def __str__(self) -> str:
        headers = (f"{name}: {value[:40]!r} ({len(value)})" for name, value in self.headers.items())
        return f"{self.method} {self.path[:60]} {', '.join(headers)}"


def made_up() -> Request:
    method, path = random.choice(["GET", "GET", "POST"]), target()
    headers = {name: HEADERS[name]() for name in ("Accept", *random.sample(list(HEADERS), k=6))}
    if method == "POST" and random.random() < 0.2:
        headers["Content-Type"] = b"multipart/form-data; boundary=b"
    headers = {name: value.strip() for name, value in headers.items()}
    headers.setdefault("Host", b"localhost")
    content = body(headers.get("Content-Type", b"")) if method == "POST" else None
    return Request(method, path, headers, content)


def send(
    connection: http.client.HTTPConnection, request: Request, pids: list[int]
) -> tuple[float, int | str]:
    """Send a request, and return the seconds of CPU that it took and the status of the answer."""
    before = cpu(pids)
    connection.request(request.method, request.path, request.body, request.headers)
    answer = connection.getresponse()
    answer.read()
    return cpu(pids) - before, answer.status


def fuzz(server: Server, seconds: float) -> Result:
    result, pids = Result(), server.tree()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        request = made_up()
        try:
            used, status = send(connection, request, pids)
            for _ in range(2):  # once, the garbage collector may have run
                if used > MOST_CPU:
                    used = min(used, send(connection, request, pids)[0])
        except (OSError, http.client.HTTPException):
            connection.close()  # the server may hang up on a malformed request
            status, used = "hung up", 0.0
        result.statuses[status] += 1
        if used > result.most_cpu:
            result.most_cpu, result.slowest = used, str(request)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--warm-up", type=float, default=120, help="seconds")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    end_in_order()
    random.seed(options.seed)
    with scratch("SQLite") as database:
        system = Fuzzed(database)
        system.python("manage.py", "migrate", "--verbosity", "0")
        with system.serving(processors()[0]) as server:
            fuzz(server, options.warm_up)
            before = sum(server.memory("VmRSS"))
            result = fuzz(server, options.seconds)
            after = sum(server.memory("VmRSS"))
    growth, errors = after / before - 1, result.statuses[500]
    memory = f"{before / 1e6:.1f} → {after / 1e6:.1f} ({growth:+.1%})"
    statuses = ", ".join(f"{count} x {status}" for status, count in result.statuses.most_common())
    figures = [
        ("answers", statuses, "no 500"),
        ("memory, MB", memory, f"{MOST_GROWTH:+.0%}"),
        ("most CPU of a call, ms", f"{result.most_cpu * 1e3:.1f}", f"{MOST_CPU * 1e3:.0f}"),
    ]
    columns: dict[str, Callable[[tuple[str, str, str]], str]] = {
        "figure": lambda row: row[0],
        "measured": lambda row: row[1],
        "at most": lambda row: row[2],
    }
    print(markdown(figures, columns), f"\nThe slowest call: {result.slowest}")
    if growth > MOST_GROWTH or errors or result.most_cpu > MOST_CPU:
        sys.exit("A stranger's headers cost too much.")


if __name__ == "__main__":
    main()
