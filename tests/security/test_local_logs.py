"""What the local runner's services log is for who runs them."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

from pressroom_dev.local.processes import spawn
from pressroom_dev.local.services import LocalServices


def test_the_log_of_a_service_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "service.log"
    for _ in range(2):  # the log of before goes aside
        child = spawn("service", [sys.executable, "-c", "print('secret')"], env={}, log=log, cwd=tmp_path)
        child.process.wait(60)
    files = sorted(log.parent.iterdir())
    assert [file.name for file in files] == ["service.log", "service.log.1"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_so_is_the_folder_in_which_airflow_makes_its_own(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir(mode=0o755)  # as an earlier version made it
    services = LocalServices(tmp_path)
    services._take_root()
    assert services._lock is not None
    services._lock.close()
    assert stat.S_IMODE((tmp_path / "logs").stat().st_mode) == 0o700
