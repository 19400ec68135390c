"""Captions photographs: files, globs, folders, and what comes on standard input.

    python -m im2txt.run_inference --workdir=/tmp/run holiday/ /tmp/cat.jpg 'shots/*.png'
    find / -name '*.jpg' | python -m im2txt.run_inference --workdir=/tmp/run - --format=jsonl --output=captions.jsonl
    python -m im2txt.run_inference --workdir=/tmp/run holiday/ --format=html --output=holiday.html
    python -m im2txt.run_inference --checkpoint_path=model.ckpt-2000000 --vocab_file=word_counts.txt --input_files=a.jpg

Writes each photograph's captions, best first, with their probability. A photograph that cannot be used is a row with
the reason, and the exit status is 1 then; the others are captioned. The last form is the original im2txt's, for its
checkpoints as they are, and prints as it did.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

import tyro

from im2txt.configuration import DecodingConfig
from im2txt.runs.run_files import read_run_config, run_of_checkpoint
from im2txt.system import command_line, progress, storage, tensorflow_startup
from im2txt.system.decoding_flags import DECODING, DecodingFlags

if TYPE_CHECKING:
    from im2txt.inference.photograph_captioner import CaptionedPhotograph, PhotographCaptioner

    Photographs = Iterator[tuple[str, str | bytes]]
    Results = Iterator[tuple[str, CaptionedPhotograph]]

_MEGABYTE = 1_000_000


@dataclasses.dataclass(frozen=True)
class RunInferenceFlags:
    """Flags of the command."""

    workdir: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Folder of the run whose best checkpoint writes the captions; given again, the mean of the runs does."""
    photographs: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="PHOTOGRAPH ...")] = ()
    """Photographs: files, globs and folders, which are searched through and through. `-` takes standard input: one
    picture, or paths, one a line."""
    input_files: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """More of them, also several separated by commas, unless a file or folder has just that name."""
    checkpoint_path: str = ""
    """Instead of --workdir: a checkpoint of the original im2txt, or its folder; or a checkpoint of a run."""
    vocab_file: str = ""
    """The word_counts.txt that belongs to a checkpoint of the original im2txt; a run has its own."""
    decoding: DECODING = DecodingFlags()
    format: Literal["text", "jsonl", "csv", "html"] = "text"
    """`text` for people; `jsonl` gives {"file", "captions": [{"caption", "log_prob", ...}]} or {"file", "error"} per
    photograph; `csv` a row per caption; `html` one page with all the photographs, made small."""
    output: str = ""
    """File to be written, when all is done; empty prints. `html` needs it."""
    embedded_megabytes: float = 20.0
    """Photographs of `html` are put into the page if all of them, made small, have at most this size, or beside it."""
    batch_size: int = 16
    """Photographs per batch."""

    def __post_init__(self) -> None:
        if bool(self.workdir) == bool(self.checkpoint_path):
            raise ValueError("Give either --workdir, the folder of a run, or --checkpoint_path.")
        if self.vocab_file and self.workdir:
            raise ValueError("--vocab_file is for --checkpoint_path; a run has its own vocabulary.")
        if not self.photographs + self.input_files:
            raise ValueError("No photographs were named: name files, globs or folders, or - for standard input.")
        if "-" in self.photographs + self.input_files and len(self.photographs + self.input_files) > 1:
            raise ValueError("`-`, standard input, stands alone: name no other photographs beside it.")
        if self.format == "html" and not self.output:
            raise ValueError("--format=html needs --output, the page to be written.")
        if self.batch_size < 1:
            raise ValueError(f"batch_size={self.batch_size}: must be at least 1.")
        if not self.embedded_megabytes >= 0:
            raise ValueError(f"--embedded_megabytes={self.embedded_megabytes} must not be negative.")


def main(argv: list[str] | None = None) -> int:
    """Parses the flags and writes captions; returns 1 if a photograph could not be captioned."""
    flags = command_line.parse(RunInferenceFlags, __doc__ or "", argv)
    # What can be checked without TensorFlow, which takes seconds to load, is checked before.
    _check_model(flags)
    if flags.output:
        command_line.check_can_be_file("output", flags.output)
    named, total = _named(flags)
    tensorflow_startup.start_tensorflow()
    from im2txt.inference.photographs import caption_photographs

    pictures: dict[str, bytes] = {}  # Standard input's; whatever else is looked at again is read again.
    results = caption_photographs(_load(flags), _remembering(named, pictures), flags.batch_size, total)
    num_failed, count = (_write_page if flags.format == "html" else _write_rows)(flags, results, pictures)
    if num_failed:
        print(f"{num_failed} of {count} photographs could not be captioned.", file=sys.stderr)
    return 1 if num_failed else 0


def _named(flags: RunInferenceFlags) -> tuple[Photographs, int | None]:
    """The photographs' names and what they name, and how many there are if that is known."""
    from im2txt.inference.named_photographs import STANDARD_INPUT, find_photographs, photographs_on

    if flags.photographs + flags.input_files == (STANDARD_INPUT,):
        return photographs_on(sys.stdin.buffer), None
    paths = find_photographs(flags.photographs, flags.input_files)
    return ((path, path) for path in paths), len(paths)


def _check_model(flags: RunInferenceFlags) -> None:
    """Checks what names the model, without TensorFlow."""
    workdirs = flags.workdir
    if flags.checkpoint_path:
        of_run = run_of_checkpoint(flags.checkpoint_path)
        workdirs = (of_run[0],) if of_run else ()
        if not any(map(os.path.exists, (flags.checkpoint_path, f"{flags.checkpoint_path}.index"))):
            raise FileNotFoundError(f"--checkpoint_path={flags.checkpoint_path} is not there.")
        if not of_run and not flags.vocab_file:
            raise ValueError("--vocab_file is required: the word_counts.txt that belongs to --checkpoint_path.")
        if flags.vocab_file and not os.path.isfile(flags.vocab_file):
            raise FileNotFoundError(f"--vocab_file={flags.vocab_file} is not there.")
    given = flags.decoding.given()
    for config in [read_run_config(workdir).decoding for workdir in workdirs][:1] or [DecodingConfig()]:
        config.replaced(given)


def _load(flags: RunInferenceFlags) -> PhotographCaptioner:
    from im2txt.inference.photograph_captioner import PhotographCaptioner

    given = flags.decoding.given()
    if flags.workdir:
        return PhotographCaptioner.load(*flags.workdir, **given)
    return PhotographCaptioner.load_checkpoint(flags.checkpoint_path, flags.vocab_file, **given)


def _remembering(named: Photographs, pictures: dict[str, bytes]) -> Photographs:
    for name, photograph in named:
        if isinstance(photograph, bytes):
            pictures[name] = photograph
        yield name, photograph


def _write_rows(flags: RunInferenceFlags, results: Results, _: dict[str, bytes]) -> tuple[int, int]:
    """Writes text, JSON lines or CSV; returns how many photographs have no captions, and how many there were."""
    from im2txt.inference.caption_output import FORMATTERS, HEADERS, as_original_text

    is_original = flags.checkpoint_path and flags.format == "text"
    to_lines = as_original_text if is_original else FORMATTERS[flags.format]
    num_failed = count = 0
    with _output(flags.output) as stream:
        if flags.format in HEADERS:
            progress.write_line(HEADERS[flags.format], stream)
        for name, result in results:
            progress.write_line(to_lines(name, result), stream)
            num_failed += bool(result.error)
            count += 1
    return num_failed, count


@contextlib.contextmanager
def _output(path: str) -> Iterator[TextIO]:
    """Standard output, or a file that is there when it is whole."""
    if not path:
        yield sys.stdout
        return
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    temporary = storage.temporary_path(path)
    try:
        with open(temporary, "w", encoding="utf-8", errors="surrogateescape") as stream:
            yield stream
        os.replace(temporary, path)
    finally:
        storage.remove(temporary)


def _write_page(flags: RunInferenceFlags, results: Results, pictures: dict[str, bytes]) -> tuple[int, int]:
    from im2txt.reporting.caption_page import write_page

    title = ", ".join(os.path.basename(os.path.abspath(path)) for path in flags.workdir or (flags.checkpoint_path,))
    shown = ((name, pictures.get(name, name), result) for name, result in results)
    return write_page(flags.output, f"Captions by {title}", shown, int(flags.embedded_megabytes * _MEGABYTE))


if __name__ == "__main__":
    command_line.run(main)
