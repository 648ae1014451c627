"""Serves the simulator on the loopback interface: ``python -m pressroom_dev.simulator --port 8090``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import uvicorn

from pressroom_dev.simulator.audience import Audience
from pressroom_dev.simulator.faults import Dropped
from pressroom_dev.simulator.metricool import DEFAULT_TOKEN, build_app
from pressroom_dev.simulator.scheduler import SimulatedScheduler

HOST = "127.0.0.1"


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the process is stopped."""
    options = _parser().parse_args(arguments)
    try:
        scheduler = SimulatedScheduler(options.state)
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"The simulator's state cannot be read: {error}")
    audience = Audience(
        options.seed, timezone=options.timezone, strength=options.strength, noise=options.noise
    )
    app = build_app(scheduler, audience, token=options.token, media_root=options.media_root)
    config = uvicorn.Config(
        app, host=HOST, port=options.port, log_level="warning", timeout_graceful_shutdown=2, lifespan="off"
    )
    logging.getLogger("uvicorn.error").addFilter(_not_on_purpose)
    uvicorn.Server(config).run()


def _not_on_purpose(record: logging.LogRecord) -> bool:
    """Whether to log a failure: connections that a fault drops are not logged."""
    return not (record.exc_info and isinstance(record.exc_info[1], Dropped))


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise argparse.ArgumentTypeError(f"unknown time zone {name!r}") from None
    return name


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pressroom_dev.simulator",
        description="A simulated Metricool with a simulated audience.",
    )
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--state", type=Path, help="file that keeps posts and clock over a restart")
    parser.add_argument("--seed", type=int, default=1, help="decides what the audience likes")
    parser.add_argument("--timezone", type=_timezone, default="UTC", help="where the audience lives")
    parser.add_argument("--strength", type=float, default=1.0, help="of its preferences; 0: it has none")
    parser.add_argument("--noise", type=float, default=0.35, help="of its reactions")
    parser.add_argument("--media-root", type=Path, help="folder whose files are served at /media")
    parser.add_argument("--token", default=DEFAULT_TOKEN, help="what X-Mc-Auth must say")
    return parser


if __name__ == "__main__":
    main()
