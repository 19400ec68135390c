"""What a person reads on an HTML page."""

import re

_NOT_READ = "<script.*?</script>|<style.*?</style>|<svg.*?</svg>|<[^>]+>"


def text_of(page: str) -> str:
    """The text between the tags, on one line; as written, escapes included."""
    return " ".join(re.sub(_NOT_READ, " ", page, flags=re.DOTALL).split())
