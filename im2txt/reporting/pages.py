"""Pages from the templates: one file each, everything that comes from files escaped, no script but the page's own."""

from __future__ import annotations

import base64
import hashlib
import math
import shlex
from collections.abc import Sequence
from typing import Any

import jinja2
from markupsafe import Markup

_MOST_NATS = 700  # Whose perplexity a float can hold.


def render(template: str, *, scripts: Sequence[str] = (), data: Any = None, **context: Any) -> str:
    """Returns a page.

    Args:
        template: name of an HTML template that extends `base.html`.
        scripts: names of the templates with its JavaScript, run in this order as one; empty for a page without. The
            page's security policy lets them run and no other, whatever a caption or a file name holds.
        data: what the script reads, as JSON; finite numbers only.
        context: the template's variables.

    Raises:
        ValueError: if `data` holds a number that is not finite.
    """
    environment = _environment()
    assert environment.loader is not None
    source = "\n".join(environment.loader.get_source(environment, script)[0] for script in scripts)
    digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
    return environment.get_template(template).render(
        script=Markup(source),
        script_policy=f"'sha256-{digest}'" if scripts else "'none'",
        data=data,
        **context,
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("im2txt.reporting", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {
        "allow_nan": False,
        "ensure_ascii": False,
        "separators": (",", ":"),
    }
    environment.filters |= {
        "count": lambda number: f"{number:,}",
        "figure": lambda value: "" if value is None else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}",
        "score": lambda value: "" if value is None else f"{value:.3f}",
        "percent": lambda share: f"{share:.1%}",
        "perplexity": lambda loss: f"{math.exp(min(loss, _MOST_NATS)):.4g}",
        "shell_quote": shlex.quote,
    }
    return environment
