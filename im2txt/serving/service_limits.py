"""What a service takes upon itself, and what it refuses."""

from __future__ import annotations

import dataclasses

from im2txt.images.image_files import MAX_PIXELS

_MEGA = 1_000_000


@dataclasses.dataclass(frozen=True)
class ServiceLimits:
    """Sizes, counts and times; whatever exceeds one of them is refused with a status that says so."""

    max_batch_size: int = 16
    """Photographs that the model captions at once, at most."""
    max_wait_ms: float = 5.0
    """How long a batch waits for photographs that are on their way, in milliseconds; a lone one never waits."""
    queue_size: int = 128
    """Photographs admitted and not yet answered; requests beyond it get 429 and the time to come back."""
    max_photographs: int = 32
    """Photographs of one request; more get 413."""
    max_megabytes: float = 16.0
    """Body of one request, in megabytes; more gets 413. Base64 takes a third more than the photographs."""
    max_megapixels: float = 25.0
    """A photograph's pixels by its header, in millions; while it is decoded each of them takes up to 15 bytes."""
    read_timeout_secs: float = 30.0
    """How long a request's body may take to arrive, and its headers; then 408, or the connection is closed."""
    answer_timeout_secs: float = 60.0
    """How long the captions of one request may take; then 503."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not 0 < value < float("inf") and not (field.name == "max_wait_ms" and value == 0):
                raise ValueError(f"--{field.name}={value} must be above 0, and finite.")
        if self.max_photographs > self.queue_size:
            raise ValueError(
                f"--max_photographs={self.max_photographs} is more than --queue_size={self.queue_size}: such a request "
                "would always be refused."
            )
        if self.max_pixels > MAX_PIXELS:
            raise ValueError(f"--max_megapixels={self.max_megapixels} must be at most {MAX_PIXELS / _MEGA:.1f}.")

    @property
    def max_body_bytes(self) -> int:
        """The largest body of a request."""
        return int(self.max_megabytes * _MEGA)

    @property
    def max_pixels(self) -> int:
        """The largest photograph."""
        return int(self.max_megapixels * _MEGA)
