"""What every command's door has in common: flags in, one clear line and an exit status out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import tyro

Flags = TypeVar("Flags")


def parse(
    flags_class: type[Flags], description: str, argv: Sequence[str] | None = None, default: Flags | None = None
) -> Flags:
    """Parses a command's flags into its frozen dataclass.

    A bad flag ends the process with status 2 and names the flag; a ValueError of the dataclass's own checks likewise.

    Args:
        flags_class: the dataclass; its fields' docstrings are the help texts.
        description: what the command does, shown above the flags; usually the module's docstring.
        argv: arguments without the program's name; None takes the process's own.
        default: values for flags that are not given, instead of the dataclass's defaults.

    Returns:
        The parsed flags.
    """
    return tyro.cli(
        flags_class,
        description=description,
        args=argv,
        default=tyro.MISSING_NONPROP if default is None else default,
        use_underscores=True,
        config=(tyro.conf.AvoidSubcommands, tyro.conf.FlagCreatePairsOff),
    )


def run(main: Callable[[], int | None]) -> None:
    """Runs a command's main function and ends the process.

    Exit status 0 (or what `main` returns) for success, 1 with one line on standard error for anything the user can
    mend, 130 after Ctrl-C. Programming errors keep their traceback.
    """
    # The TensorFlow runtime's start-up chatter would bury the command's own lines.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        sys.exit(main() or 0)
    except (ValueError, OSError, RuntimeError) as error:
        if os.environ.get("IM2TXT_TRACEBACK"):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)
