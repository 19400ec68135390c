"""Lines beside a progress bar."""

import io
import sys

from im2txt.system import progress


def shown(text):
    """What a terminal shows of a text with carriage returns: later characters over earlier ones."""
    lines = []
    for line in text.split("\n"):
        cells: list[str] = []
        for part in line.split("\r"):
            cells[: len(part)] = part
        lines.append("".join(cells).rstrip())
    return lines


def test_a_line_stands_alone_above_the_bar(capsys):
    with progress.progress_bar("captioning", total=2, unit=" photographs") as bar:
        progress.write_line("skipped a.jpg: damaged", sys.stderr)
        bar.update()
    lines = shown(capsys.readouterr().err)
    assert lines[0] == "skipped a.jpg: damaged"
    assert lines[1].startswith("captioning: ")


def test_results_in_a_file_know_no_bar(capsys):
    results = io.StringIO()
    with progress.progress_bar("captioning", total=2):
        before = capsys.readouterr().err
        progress.write_line("a dog runs", results)
        assert capsys.readouterr().err == ""
    assert "captioning" in before
    assert results.getvalue() == "a dog runs\n"
