"""A mail server whose answers do not end holds no notice of others."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from pressroom.engine.runs import control
from pressroom.store.database import Store
from pressroom_dev.local.ports import HOST
from tests.support.airflow_library import airflow_as_library
from tests.support.notice_world import Sinks, listen, look
from tests.support.served import served
from tests.support.world import make_world

with airflow_as_library():
    from pressroom.orchestration.server import deliver_notices

pytestmark = pytest.mark.integration


@pytest.fixture
def endless() -> Iterator[int]:
    """The port of a server that greets for ever: a line now and then, and none of them the last."""
    over = threading.Event()
    with socket.create_server((HOST, 0)) as server:

        def greet(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                while not over.is_set():
                    connection.sendall(b"220-welcome\r\n")
                    time.sleep(0.05)

        def listen_on() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=greet, args=(connection,), daemon=True).start()

        threading.Thread(target=listen_on, daemon=True).start()
        try:
            yield int(server.getsockname()[1])
        finally:
            over.set()


def test_its_notices_wait_and_the_others_go_out(
    database_url: str, store: Store, endless: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver_notices, "PATIENCE", 0.1)  # of twenty seconds
    world = make_world(database_url, store)
    listen(store, world.account_id)
    run = world.run()
    with store.transaction(world.account_id) as tx:
        control.close_run(tx, run.id, failed="it is over")
    sinks = Sinks(smtp_port=endless)
    with served(sinks.app) as url:
        sinks.url = url
        sent = look(store, sinks)
    assert sent == len(sinks.hooks) == 1
    [(recipient, error)] = world.sql("SELECT recipient, error FROM notice_messages WHERE sent_at IS NULL")
    assert recipient == "ed@example.com"
    assert "no whole answer within 2 s" in error
