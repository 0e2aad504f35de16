"""The queue of slow hashes: who waits, who is pushed out, and whose turn it is."""

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic

import pytest

from api.tests.support.services import eventually
from api.throttling import slow_hashes
from api.throttling.slow_hashes import QueueFullError, SlowHashQueue

SIZE = 3


class Crowd:
    """Requests for one queue, whose first turn is held until `release`."""

    def __init__(self, queue: SlowHashQueue, pool: ThreadPoolExecutor) -> None:
        self.queue, self._pool = queue, pool
        self._held, self.served = threading.Event(), list[str]()
        self.ask("holder", expected=0)
        eventually(lambda: self.served == ["holder"])

    def ask(self, network: str, *, expected: int) -> Future[None]:
        """Ask for a turn, and return when so many wait."""
        future = self._pool.submit(self._take_turn, network)
        eventually(lambda: future.done() or len(self.queue._waiting) == expected)
        return future

    def release(self) -> None:
        self._held.set()

    def _take_turn(self, network: str) -> None:
        with self.queue.turn(network):
            self.served.append(network)
            assert self._held.wait(10)


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    with ThreadPoolExecutor(10) as pool:
        crowd = Crowd(SlowHashQueue(SIZE), pool)
        yield crowd
        crowd.release()


def refused(future: Future[None]) -> bool:
    return isinstance(future.exception(10), QueueFullError)


def test_no_more_wait_than_the_queue_is_long(crowd: Crowd) -> None:
    waiting = [crowd.ask(f"network-{number}", expected=number) for number in range(1, SIZE + 1)]
    assert refused(crowd.ask("one-too-many", expected=SIZE))
    crowd.release()
    assert [future.result(10) for future in waiting] == [None] * SIZE


def test_one_network_takes_two_places_and_no_more(crowd: Crowd) -> None:
    for number in (1, 2):
        crowd.ask("greedy", expected=number)
    assert refused(crowd.ask("greedy", expected=2))
    crowd.ask("another", expected=3)
    crowd.release()
    eventually(lambda: crowd.served == ["holder", "greedy", "greedy", "another"])


def test_network_without_failures_goes_first_and_pushes_out_the_last_that_failed(
    crowd: Crowd,
) -> None:
    first = crowd.ask("guesser-1", expected=1)
    last = crowd.ask("guesser-2", expected=2)
    for network in ("guesser-1", "guesser-2"):
        crowd.queue.note_failure(network)
    crowd.ask("honest-1", expected=3)
    crowd.ask("honest-2", expected=3)
    assert refused(last)
    assert refused(crowd.ask("guesser-2", expected=3))  # who failed pushes nobody out
    crowd.release()
    assert first.result(10) is None
    assert crowd.served == ["holder", "honest-1", "honest-2", "guesser-1"]


def test_failures_are_forgotten_after_a_minute(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd.queue.note_failure("guesser")
    later = monotonic() + slow_hashes.FAILURE_MEMORY + 1
    monkeypatch.setattr(slow_hashes, "monotonic", lambda: later)
    crowd.ask("guesser", expected=1)
    crowd.ask("honest", expected=2)
    crowd.release()
    eventually(lambda: crowd.served == ["holder", "guesser", "honest"])


def test_turn_is_given_while_failures_are_being_forgotten(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd.queue.note_failure("guesser")
    now = monotonic()
    clock = itertools.chain([now] * 3, itertools.repeat(now + slow_hashes.FAILURE_MEMORY + 1))
    crowd.ask("guesser", expected=1)
    crowd.ask("honest", expected=2)
    monkeypatch.setattr(slow_hashes, "monotonic", lambda: next(clock))
    crowd.release()
    eventually(lambda: len(crowd.served) == 3)


def test_networks_that_failed_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_hashes, "MAX_FAILED_NETWORKS", 2)
    queue = SlowHashQueue(SIZE)
    for network in ("a", "b", "a", "c"):
        queue.note_failure(network)
    assert list(queue._failed_at) == ["a", "c"]


def test_turn_that_fails_is_given_on() -> None:
    queue = SlowHashQueue(SIZE)
    with pytest.raises(ZeroDivisionError), queue.turn("a"):
        raise ZeroDivisionError
    with queue.turn("b"):
        pass
