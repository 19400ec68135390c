"""The page of a service: drop photographs on it and see their captions."""

from __future__ import annotations

from im2txt.reporting import pages


def page(title: str) -> str:
    """Returns the page; it sends photographs to `captions` beside its own address."""
    return pages.render("service_page.html", scripts=("captions.js", "service_page.js"), data={}, title=title)
