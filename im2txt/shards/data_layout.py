"""Who of all the processes and devices of a run this process is: which part of the data it reads, and who writes."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class DataLayout:
    """How a run is spread. The strategy makes it; pipeline, checkpoints and figures go by it.

    Attributes:
        num_replicas: copies of the model over all workers, as many on each.
        num_workers: processes that read data.
        worker: which of them this one is, in [0, num_workers).
    """

    num_replicas: int = 1
    num_workers: int = 1
    worker: int = 0

    def __post_init__(self) -> None:
        if self.num_replicas < 1 or self.num_workers < 1 or self.num_replicas % self.num_workers:
            raise ValueError(f"{self.num_replicas} replicas on {self.num_workers} workers: must be as many on each.")
        if not 0 <= self.worker < self.num_workers:
            raise ValueError(f"worker={self.worker}: must be in [0, {self.num_workers}).")

    @property
    def local_replicas(self) -> int:
        """Copies of the model in this process."""
        return self.num_replicas // self.num_workers

    @property
    def is_chief(self) -> bool:
        """Whether this process is the one that writes the run's folder and speaks to the user."""
        return self.worker == 0

    def share(self, total: int) -> tuple[int, int]:
        """Returns this worker's part [start, end) of `total` things in order; the parts differ by at most one."""
        return total * self.worker // self.num_workers, total * (self.worker + 1) // self.num_workers

    def largest_share(self, total: int) -> int:
        """Returns the size of the largest part that any worker has of `total` things."""
        return -(-total // self.num_workers)

    def replica_batch_size(self, batch_size: int) -> int:
        """Returns one replica's part of a global batch.

        Raises:
            ValueError: if the parts would not be equal.
        """
        if batch_size % self.num_replicas:
            raise ValueError(
                f"input.batch_size={batch_size} must be a multiple of the {self.num_replicas} replicas, whose batches "
                "are parts of it."
            )
        return batch_size // self.num_replicas


ONE_DEVICE = DataLayout()
