"""What stands in for services outside that are not set up: the local language model, and the simulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pressroom_dev.local import connections, model_server, simulator_server
from pressroom_dev.local.astro_settings import AstroSettings
from pressroom_dev.local.connections import LocalTextModel
from pressroom_dev.local.processes import wait_until
from pressroom_dev.local.running import Running

MODEL_PORT = 8081
SIMULATOR_PORT = 8082


@dataclass(frozen=True)
class StandIn:
    """A service that was started, or the one outside. ``url``: the simulator's; ``model``: which writes.

    ``variables``: what Airflow and the command line are told of it; ``wait``: returns when it serves.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    wait: Callable[[], None] = lambda: None
    model: LocalTextModel | None = None
    url: str | None = None


def text_model(
    running: Running, caller: Mapping[str, str], settings: AstroSettings, *, serve: bool | None
) -> StandIn:
    """The language model. ``serve``: whether to serve a local one; None: only if no other is set up."""
    outside = connections.outside_text(caller, settings)
    if serve is not True and outside is not None:
        model, variables = outside
        running.report("model", f"using {model.name or 'the connection'} at {model.base_url}")
        return StandIn(variables, model=model)
    if serve is False:
        return StandIn()
    file = model_server.find_model(caller)
    port = running.ports.take(MODEL_PORT)
    running.report("model", f"loading {file.name}")
    child = running.add(
        model_server.start(
            file,
            port=port,
            env={**running.environment(), **running.extra_env},
            log=running.log("model"),
            cwd=running.root,
        )
    )

    def wait() -> None:
        wait_until(
            lambda: child.serves(lambda: model_server.healthy(port)),
            children=[child],
            timeout=model_server.START_TIMEOUT,
            what=f"The language model {file.name}",
        )
        running.report("model", f"{file.name} ready on port {port}")

    name = model_server.model_name(file)
    model, variables = connections.local_text(name, model_server.base_url(port), settings)
    return StandIn(variables, wait, model=model)


def simulator(
    running: Running, caller: Mapping[str, str], settings: AstroSettings, media_root: str
) -> StandIn:
    """The simulator, unless Metricool is set up."""
    if connections.outside_metricool(caller, settings):
        running.report("simulator", "not needed: the connection to Metricool is set up")
        return StandIn()
    port = running.ports.take(SIMULATOR_PORT)
    child = running.add(
        simulator_server.start(
            port=port,
            state=running.root / "simulator.jsonl",
            media_root=media_root,
            env={**running.environment(), **running.extra_env},
            log=running.log("simulator"),
            cwd=running.root,
        )
    )

    def wait() -> None:
        wait_until(
            lambda: child.serves(lambda: simulator_server.healthy(port)),
            children=[child],
            timeout=simulator_server.START_TIMEOUT,
            what="The simulator",
        )
        running.report("simulator", f"in Metricool's place on port {port}: nothing is posted anywhere")

    url = simulator_server.base_url(port)
    return StandIn(connections.simulator_variables(simulator_server.connection(url), url), wait, url=url)
