"""The embedded bus under faults: processes killed, services and the database away."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local import dispatcher as dispatcher_module
from infra.local.bell import AlreadyRunning
from infra.local.preflight import free_port
from shared.bus_embedded import configure
from tests.bus_receiver import HttpReceiver
from tests.integration.bus_stack import Process, Stack, until


@pytest.fixture
def stack(bus_url: str, tmp_path: Path) -> Iterator[Stack]:
    """A stack on a topic of its own; nothing runs yet."""
    made = Stack(bus_url, tmp_path / "poke")
    yield made
    made.stop()
    made.receiver.close()


def test_a_killed_dispatcher_loses_nothing(stack: Stack, tmp_path: Path) -> None:
    """After kill -9 the next one delivers what was left, in order, and goes on counting."""
    stack.receiver.fail("stuck")
    first = Process(stack, tmp_path)
    first.wait_ready()
    stack.publish("stuck", "behind")
    until(lambda: stack.counted() >= 2)
    first.end(signal.SIGKILL)
    counted = stack.counted()
    stack.publish("meanwhile")
    failed = len(stack.receiver.received)
    stack.receiver.answer = lambda push: 204
    second = Process(stack, tmp_path)
    until(lambda: len(set(stack.receiver.handled())) >= 3)
    # What the first one had under way may come twice, and be counted after we looked.
    assert ["stuck", "behind", "meanwhile"] == list(dict.fromkeys(stack.receiver.handled()))
    attempt = stack.receiver.received[failed].push.delivery_attempt
    assert attempt in (counted + 1, counted + 2)
    until(lambda: stack.left() == 0)
    assert 0 == second.end(signal.SIGTERM)


def test_signs_with_a_key_of_its_own(stack: Stack, tmp_path: Path) -> None:
    """The process pushes with a signed token for the subscribed service."""
    process = Process(stack, tmp_path)
    process.wait_ready()
    stack.publish("signed")
    until(lambda: bool(stack.receiver.received))
    scheme, _, token = (stack.receiver.received[0].authorization or "").partition(" ")
    assert ("Bearer", 2) == (scheme, token.count("."))
    assert 0 == process.end(signal.SIGINT)


def test_says_all_that_is_missing(stack: Stack, tmp_path: Path) -> None:
    """Without its settings the process ends with 1 and one line that names each of them."""
    process = Process(stack, tmp_path, BUS_URL="", PUSH_ISSUER="")
    assert 1 == process.wait()
    assert "missing: BUS_URL; missing: PUSH_ISSUER" in process.log()


def test_two_dispatchers_would_break_the_order(stack: Stack) -> None:
    """A second dispatcher on the same socket refuses to start; after a stop it may."""
    stack.start()
    other = Stack(stack.url, stack.socket)
    with pytest.raises(AlreadyRunning):
        other.start()
    stack.stop()
    other.start()
    other.stop()
    other.receiver.close()


def test_a_service_that_is_down_finds_its_messages(stack: Stack) -> None:
    """While a service does not listen no attempt is used up; when it returns it gets all."""
    port = free_port()
    stack.start(endpoint=f"http://127.0.0.1:{port}/", max_attempts=5, min_backoff=0.01)
    stack.publish("one", "two")
    time.sleep(1.0)
    returned = HttpReceiver(port)
    until(lambda: len(returned.handled()) >= 2)
    assert ["one", "two"] == returned.texts()
    assert 1 == returned.received[0].push.delivery_attempt
    returned.close()


def test_a_restarted_service_is_reached_on_a_new_connection(stack: Stack) -> None:
    """A kept connection that the service closed meanwhile is no failed attempt."""
    port = free_port()
    before = HttpReceiver(port)
    stack.start(endpoint=before.url)
    stack.publish("one")
    # Its answer has arrived, too.
    until(lambda: bool(before.handled()) and stack.left() == 0)
    before.close()
    after = HttpReceiver(port)
    stack.publish("two")
    until(lambda: bool(after.handled()))
    assert 1 == after.received[0].push.delivery_attempt
    after.close()


def test_an_unanswered_push_is_repeated(stack: Stack) -> None:
    """A service that does not answer within the deadline gets the message again."""
    stalled = threading.Event()
    calls: list[int] = []

    def answer(push: object) -> int:
        calls.append(1)
        if len(calls) == 1:
            stalled.wait(60)
        return 204

    def attempts() -> set[int]:
        return {received.push.delivery_attempt or 0 for received in stack.receiver.received}

    stack.receiver.answer = answer
    stack.start(ack_deadline=0.2)
    stack.publish("slow")
    until(lambda: len(calls) >= 2)
    stalled.set()
    until(lambda: {1, 2} <= attempts())


def test_goes_on_when_the_database_returns(stack: Stack) -> None:
    """Connections cut and refused for a while: the dispatcher comes back by itself."""
    stack.start()
    stack.publish("before")
    until(lambda: bool(stack.receiver.handled()))
    for _ in range(4):
        stack.database.all(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        stack.publish("during")
        time.sleep(0.1)
    stack.publish("after", key="other")
    until(lambda: stack.receiver.handled().count("during") >= 4)
    until(lambda: "after" in stack.receiver.handled() and stack.left() == 0)


def test_a_poke_wakes_the_dispatcher(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A publish is delivered at once, not at the dispatcher's next look."""
    monkeypatch.setattr(dispatcher_module, "_LOOK_EVERY", 3600.0)
    stack.start()
    stack.publish("one")
    until(lambda: bool(stack.receiver.handled()))


def test_looks_by_itself_too(stack: Stack) -> None:
    """Without a socket to poke, messages are found by looking."""
    stack.start(poke=False)
    stack.publish("one")
    until(lambda: bool(stack.receiver.handled()))


def test_keeps_its_connections(stack: Stack) -> None:
    """Many pushes go over few connections."""
    stack.start()
    for number in range(20):
        stack.publish(str(number))
    until(lambda: len(stack.receiver.handled()) == 20)
    assert len(stack.receiver.connections) <= 4


def test_a_long_stuck_key_holds_up_no_other(stack: Stack) -> None:
    """More messages than memory holds wait behind one failing; other keys go on meanwhile."""
    configure(stack.database, stack.wired())
    stack.receiver.fail("stuck")
    stuck = ["stuck", *(str(number) for number in range(1500))]
    stack.publish(*stuck, key="stuck")
    stack.publish(*(f"free {number}" for number in range(50)), key="free")
    stack.start(max_attempts=100)
    until(lambda: len(stack.receiver.handled()) == 50)
    assert ["free"] == list({text.partition(" ")[0] for text in stack.receiver.handled()})
    stack.receiver.answer = lambda push: 204
    until(lambda: len(stack.receiver.handled()) >= 1551, patience=180)
    assert stuck == stack.receiver.handled()[50:]


def test_senders_at_once_keep_each_keys_order(stack: Stack) -> None:
    """Four threads publish to twelve keys; each key arrives in its sender's order."""
    stack.start()

    def send(sender: int) -> None:
        for number in range(30):
            for key in range(3):
                stack.publish(f"{sender}-{key} {number:03}", key=f"{sender}-{key}")

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: len(stack.receiver.handled()) >= 360)
    by_key: dict[str, list[str]] = {}
    for text in stack.receiver.handled():
        by_key.setdefault(text.partition(" ")[0], []).append(text)
    assert 12 == len(by_key)
    assert all(sorted(texts) == texts for texts in by_key.values())
    until(lambda: stack.left() == 0)
