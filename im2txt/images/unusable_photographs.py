"""Why a photograph cannot be used, under names that can be counted."""

from __future__ import annotations


class UnusablePhotographError(Exception):
    """A photograph that cannot go into a shard.

    Attributes:
        reason: a short name for counting: `missing_photograph`, `unreadable`, `empty_file`, `not_an_image`,
            `truncated`, `damaged`, `too_large` or `unsupported`.
        detail: what was seen.
    """

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
