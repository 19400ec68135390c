"""Which processes train together, as the environment tells each of them: TF_CONFIG, or Slurm's variables.

    TF_CONFIG='{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'

Under `srun` nothing need be set. TensorFlow is not needed to read either, so that a mistake is told at once.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence

_SLURM_PORTS = range(20_000, 40_000)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of a run.

    Attributes:
        addresses: host:port of every worker; the first is the chief.
        worker: index of this process.
    """

    addresses: tuple[str, ...]
    worker: int

    def tf_config(self) -> str:
        """Returns what this worker's TF_CONFIG says."""
        return json.dumps({"cluster": {"worker": self.addresses}, "task": {"type": "worker", "index": self.worker}})


def read_cluster(environment: Mapping[str, str]) -> Cluster:
    """Reads who works together from a process's environment.

    Raises:
        ValueError: if neither TF_CONFIG nor Slurm's variables are there, or they make no cluster.
    """
    if environment.get("TF_CONFIG"):
        return _from_tf_config(environment["TF_CONFIG"])
    if "SLURM_PROCID" in environment:
        return _from_slurm(environment)
    raise ValueError(
        "training.distribution=multi_worker needs TF_CONFIG in the environment of every worker, or Slurm's variables "
        'as `srun` sets them. For two workers: TF_CONFIG=\'{"cluster": {"worker": ["HOST1:2222", "HOST2:2222"]}, '
        '"task": {"type": "worker", "index": 0}}\', and index 1 for the second.'
    )


def _from_tf_config(text: str) -> Cluster:
    def fault(reason: str) -> ValueError:
        return ValueError(f"TF_CONFIG={text!r}: {reason}.")

    try:
        fields = json.loads(text)
    except ValueError as error:
        raise fault(f"is no JSON ({error})") from error
    tasks, task = (fields.get(name) if isinstance(fields, dict) else None for name in ("cluster", "task"))
    if not isinstance(tasks, dict) or not all(isinstance(addresses, list) for addresses in tasks.values()):
        raise fault('needs {"cluster": {"worker": ["host:port", ...]}}')
    if set(tasks) - {"worker", "chief"}:
        raise fault(f"only workers and one chief train here, not {sorted(set(tasks) - {'worker', 'chief'})}")
    addresses = [address for kind in ("chief", "worker") for address in tasks.get(kind, ())]
    try:
        check_addresses(addresses)
    except ValueError as error:
        raise fault(str(error)) from error
    kind, index = (task.get("type"), task.get("index")) if isinstance(task, dict) else (None, None)
    if kind not in tasks or type(index) is not int or not 0 <= index < len(tasks[kind]):
        raise fault('"task" must name one of the cluster\'s, as {"type": "worker", "index": 0}')
    return Cluster(tuple(addresses), index + (len(tasks.get("chief", ())) if kind == "worker" else 0))


def check_addresses(addresses: Sequence[object]) -> None:
    """Raises ValueError, without a full stop, unless each is `host:port` and stands once."""
    for address in addresses:
        if not isinstance(address, str) or not re.fullmatch(r".+:\d{1,5}", address):
            raise ValueError(f"{address!r} must be host:port")
    if len(set(addresses)) != len(addresses):
        raise ValueError("an address stands twice")


def _from_slurm(environment: Mapping[str, str]) -> Cluster:
    names = ("SLURM_STEP_NODELIST", "SLURM_STEP_TASKS_PER_NODE", "SLURM_PROCID", "SLURM_JOB_ID")
    missing = [name for name in names if name not in environment]
    if missing:
        raise ValueError(f"Slurm's {', '.join(missing)} is not set. Start the workers with `srun`, or set TF_CONFIG.")
    nodes, tasks, process, job = (environment[name] for name in names)
    hosts, counts = expand_hosts(nodes), _expand_counts(tasks)
    if len(hosts) != len(counts):
        raise ValueError(f"SLURM_STEP_NODELIST={nodes!r} has {len(hosts)} hosts, SLURM_STEP_TASKS_PER_NODE={tasks!r}.")
    # Jobs that share a machine get other ports.
    first_port = _SLURM_PORTS[int(job) * 64 % len(_SLURM_PORTS)]
    addresses = tuple(
        f"{host}:{first_port + task}" for host, count in zip(hosts, counts, strict=True) for task in range(count)
    )
    if not 0 <= int(process) < len(addresses):
        raise ValueError(f"SLURM_PROCID={process}: there are {len(addresses)} tasks.")
    return Cluster(addresses, int(process))


def expand_hosts(text: str) -> list[str]:
    """Expands Slurm's list of hosts: `gpu[01-03,7],login` -> gpu01, gpu02, gpu03, gpu7, login."""
    hosts = []
    for item in re.findall(r"[^,\[]+(?:\[[^\]]*\])?[^,\[]*", text):
        match = re.fullmatch(r"(.*?)\[(.*)\](.*)", item)
        if match is None:
            hosts.append(item)
            continue
        before, numbers, after = match.groups()
        for part in numbers.split(","):
            first, _, last = part.partition("-")
            hosts += [f"{before}{n:0{len(first)}d}{after}" for n in range(int(first), int(last or first) + 1)]
    return hosts


def _expand_counts(text: str) -> list[int]:
    """Expands Slurm's tasks per node: `2(x3),1` -> 2, 2, 2, 1."""
    counts = []
    for item in text.split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", item)
        if match is None:
            raise ValueError(f"SLURM_STEP_TASKS_PER_NODE={text!r} is not of the form 2(x3),1.")
        counts += [int(match[1])] * int(match[2] or 1)
    return counts
