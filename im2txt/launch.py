r"""Starts the workers of a run on this machine, or prints what each of several machines is to run.

    python -m im2txt.launch --num_workers=2 --log_dir=/tmp/logs -- python -m im2txt.train --config=flickr8k \
        --workdir=/tmp/run --config.input.data_dir=/tmp/features --config.training.distribution=multi_worker
    python -m im2txt.launch --print --hosts=gpu1:2222,gpu2:2222 -- python -m im2txt.train --config=coco \
        --workdir=/shared/run --config.input.data_dir=/shared/features --config.training.distribution=multi_worker

What stands after `--` is the command of every worker; TF_CONFIG tells each of them who it is. The first worker's output
is shown, everyone's is in the logs. If a worker dies, all are started again and the run goes on from its latest
checkpoint, up to --max_restarts times. Ctrl-C and SIGTERM are passed on: all workers save and end, and the same command
goes on from there (exit status 130). Nothing outlives the launcher, even where it is killed.

One machine's GPUs need no launcher: training.distribution=mirrored uses all of them in one process.
"""

from __future__ import annotations

import dataclasses
import shlex
import sys
import tempfile

import tyro

from im2txt.system import command_line
from im2txt.training.cluster import Cluster, check_addresses
from im2txt.training.supervisor import free_addresses, supervise


@dataclasses.dataclass(frozen=True)
class LaunchFlags:
    """Flags of the command."""

    command: tyro.conf.Positional[tuple[str, ...]]
    """After `--`: what every worker runs, such as `python -m im2txt.train ...`."""
    num_workers: int = 2
    """Workers on this machine."""
    log_dir: str = ""
    """Folder of the workers' outputs, worker-0.log and so on; empty takes a new temporary one."""
    max_restarts: int = 3
    """How often all workers are started again after one of them has died."""
    stop_deadline_secs: float = 600.0
    """Seconds that workers have to save and end after a signal; then they are killed."""
    print: bool = False
    """Starts nothing: prints what each worker is to run, in terminals of this machine or on --hosts."""
    hosts: str = ""
    """With --print: host:port of every worker, comma-separated; the first is the chief, whose output matters."""

    def __post_init__(self) -> None:
        if not self.command:
            raise ValueError("After `--` goes what every worker runs: ... -- python -m im2txt.train --config=...")
        if self.num_workers < 1:
            raise ValueError(f"--num_workers={self.num_workers} must be at least 1.")
        if self.max_restarts < 0:
            raise ValueError(f"--max_restarts={self.max_restarts} must not be negative.")
        if not self.stop_deadline_secs > 0:
            raise ValueError(f"--stop_deadline_secs={self.stop_deadline_secs} must be positive.")
        if self.hosts and not self.print:
            raise ValueError("--hosts are started by hand, by Slurm or by Kubernetes: --print says what each one runs.")
        if self.hosts:
            try:
                check_addresses(self.addresses())
            except ValueError as error:
                raise ValueError(f"--hosts={self.hosts}: {error}.") from error

    def addresses(self) -> tuple[str, ...]:
        """Returns host:port of every worker: those given, or free ones of this machine."""
        return tuple(self.hosts.split(",")) if self.hosts else free_addresses(self.num_workers)


def main() -> int:
    """Parses the flags, then prints or supervises; returns 0, or 130 after a signal."""
    flags = command_line.parse(LaunchFlags, __doc__ or "")
    if flags.print:
        addresses = flags.addresses()
        for worker, address in enumerate(addresses):
            tf_config = shlex.quote(Cluster(addresses, worker).tf_config())
            print(f"# worker {worker}, at {address}\nTF_CONFIG={tf_config} {shlex.join(flags.command)}")
        return 0
    if flags.log_dir:
        command_line.check_can_be_folder("log_dir", flags.log_dir)
    log_dir = flags.log_dir or tempfile.mkdtemp(prefix="im2txt-launch-")
    print(f"{flags.num_workers} workers; their outputs are in {log_dir}", file=sys.stderr, flush=True)
    return supervise(flags.command, flags.num_workers, log_dir, flags.max_restarts, flags.stop_deadline_secs)


if __name__ == "__main__":
    command_line.run(main)
