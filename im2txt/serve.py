"""Serves an exported model over HTTP: a page for people, and TensorFlow Serving's REST form for programs.

    python -m im2txt.serve --model=/tmp/captioner

Then http://127.0.0.1:8501/ takes photographs, and

    curl -F photograph=@cat.jpg http://127.0.0.1:8501/captions

prints captions. POST /v1/models/im2txt:predict takes {"instances": [{"b64": "..."}]}; GET /healthz and /metrics are for
those who watch. SIGTERM or Ctrl-C finishes the requests there are, and ends with status 0. It answers this machine
alone unless --host says otherwise; docs/serving.md says what to put before it then.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Annotated

import tyro

from im2txt.inference.exported_folder import check_exported_folder, read_vocabulary
from im2txt.serving.service_limits import ServiceLimits
from im2txt.system import command_line, tensorflow_startup

_MAX_PORT = 65_535


@dataclasses.dataclass(frozen=True)
class ServeFlags:
    """Flags of the command."""

    model: str
    """Folder that `python -m im2txt.export` wrote. A SavedModel is a program: serve none from strangers."""
    host: str = "127.0.0.1"
    """Address to answer at; 0.0.0.0 answers all who reach this machine, without encryption or passwords."""
    port: int = 8501
    """TCP port, that of TensorFlow Serving unless told otherwise; 0 takes any that is free."""
    limits: Annotated[tyro.conf.OmitArgPrefixes[ServiceLimits], tyro.conf.arg(name="")] = ServiceLimits()

    def __post_init__(self) -> None:
        if not 0 <= self.port <= _MAX_PORT:
            raise ValueError(f"--port={self.port} must be 0 to {_MAX_PORT}.")


def main() -> None:
    """Parses the flags and serves until told to stop."""
    flags = command_line.parse(ServeFlags, __doc__ or "")
    # What can be checked without TensorFlow, which takes seconds to load, is checked before.
    check_exported_folder(flags.model)
    vocabulary = read_vocabulary(flags.model)
    try:
        from im2txt.serving import server
        from im2txt.serving.application import build_application
        from im2txt.serving.photograph_service import PhotographService
        from im2txt.serving.service_metrics import ServiceMetrics
    except ModuleNotFoundError as error:
        raise RuntimeError(
            f"{error.name} is not installed; `pip install '.[serve]'`, in this project's folder, has it."
        ) from error
    from im2txt.reporting import service_page

    listening = server.listen(flags.host, flags.port)
    tensorflow_startup.start_tensorflow(with_keras=False)
    from im2txt.inference.exported_model import ExportedModel

    metrics = ServiceMetrics()
    service = PhotographService(ExportedModel(flags.model), flags.limits, metrics)
    service.warm_up()
    name = os.path.basename(os.path.abspath(flags.model))
    page = service_page.page(f"Captions by {name}")
    application = build_application(service, vocabulary, flags.limits, metrics, page)
    warning = "" if server.is_loopback(listening) else " Anyone who reaches this machine may use it."
    print(f"{flags.model} at {server.address_of(listening)}; Ctrl-C stops.{warning}", flush=True)
    server.serve(server.make_server(application, flags.limits), listening)


if __name__ == "__main__":
    command_line.run(main)
