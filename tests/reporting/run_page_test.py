"""The page of runs, of folders that are made by hand."""

import json
import os
import pathlib
import re

import evaluated_runs
import pytest
from page_text import text_of

from im2txt import report
from im2txt.reporting import run_content, run_page
from im2txt.runs.sample_captions import SampleCaption, append_samples

NOW = 1_000_000.0


@pytest.fixture
def runs(tmp_path: pathlib.Path) -> list[pathlib.Path]:
    """Two runs that differ in `decoder.layers` and `decoder.dropout`, silent for an hour."""
    made = [tmp_path / name for name in ("first", "second")]
    evaluated_runs.write_run(made[0], tmp_path / "shards")
    evaluated_runs.write_run(made[1], tmp_path / "shards", layers=2, dropout=0.5)
    for run in made:
        os.utime(run / "metrics.jsonl", (NOW - 3600, NOW - 3600))
    return made


def gather(*workdirs: pathlib.Path, now: float = NOW) -> list[run_content.RunContent]:
    return run_content.gather([str(workdir) for workdir in workdirs], "/pages/report.html", now)


def test_one_page_shows_all_runs_with_their_best_validation(runs: list[pathlib.Path]) -> None:
    report.main([f"--workdir={run}" for run in runs])
    text = text_of((runs[0] / "report.html").read_text())
    assert "first finished 4,000 4.0 0:03:20 7.389 2,000 second finished 4,000" in text
    for title in ("Loss", "Learning rate", "Captions per second"):
        assert title in text
    assert "perplexity per word" not in text
    assert "No split was evaluated yet. python -m im2txt.evaluate --workdir=" in text


def test_only_the_fields_that_differ_are_compared(runs: list[pathlib.Path]) -> None:
    contents = gather(*runs)
    assert run_content.differing_fields(contents) == {"decoder.layers": [1, 2], "decoder.dropout": [None, 0.5]}
    assert "decoder.layers 1 2 decoder.dropout – 0.5" in text_of(run_page.page(contents))
    assert "What differs" not in text_of(run_page.page(contents[:1]))


def test_curves_hold_every_finite_number_of_the_rows(runs: list[pathlib.Path]) -> None:
    rows = [
        {"kind": "val", "step": 5, "epoch": 0.5, "loss": 2.0, "CIDEr-D": 0.4},
        {"kind": "val", "step": 9, "epoch": 0.9, "loss": float("nan"), "CIDEr-D": 0.5},
    ]
    evaluated_runs.write_rows(runs[0], rows)
    (run,) = gather(runs[0])
    assert run.curves["val"] == {"loss": [(5, 2.0)], "CIDEr-D": [(5, 0.4), (9, 0.5)]}
    assert (run.last_step, run.best_validation) == (9, (5, 2.0))
    titles = re.findall("<h2>([^<]+)</h2>", run_page.page([run]))
    assert titles[:3] == ["Runs", "Loss", "CIDEr-D"]


def test_a_run_is_going_on_stopped_or_finished(runs: list[pathlib.Path]) -> None:
    assert [run.state for run in gather(*runs)] == ["finished", "finished"]
    rows = [{"kind": "train", "step": i, "epoch": i / 10, "time": 100.0 * i, "loss": 1.0} for i in range(1, 30)]
    evaluated_runs.write_rows(runs[0], rows)
    for silence, state in ((10, "going on"), (499, "going on"), (501, "stopped")):  # Five times 100 s.
        os.utime(runs[0] / "metrics.jsonl", (NOW - silence, NOW - silence))
        assert gather(runs[0])[0].state == state


def test_time_goes_on_counting_when_a_run_was_resumed(runs: list[pathlib.Path]) -> None:
    times = (10.0, 20.0, 5.0, 7.0, 1.0)
    evaluated_runs.write_rows(
        runs[0], [{"kind": "train", "step": i, "epoch": 0.1, "time": time} for i, time in enumerate(times)]
    )
    assert gather(runs[0])[0].seconds == 20 + 7 + 1


def test_the_page_is_written_anew_until_no_run_goes_on(runs: list[pathlib.Path], tmp_path: pathlib.Path) -> None:
    evaluated_runs.write_rows(runs[1], [{"kind": "train", "step": 1, "epoch": 0.1, "loss": 1.0}])
    os.utime(runs[1] / "metrics.jsonl", (NOW, NOW))
    output = tmp_path / "page.html"
    now, seen = [NOW], []

    def wait(seconds: float) -> None:
        seen.append((seconds, "loads itself anew every 60 s" in text_of(output.read_text())))
        now[0] += seconds

    run_page.follow([str(run) for run in runs], str(output), 60.0, lambda: now[0], wait)
    assert seen == [(60.0, True)] * 3  # Silent for 180 s: it has stopped.
    page = output.read_text()
    assert "loads itself anew" not in page
    assert "<script" not in page
    run_page.follow([str(runs[1])], str(output), 0.0, lambda: NOW, wait)
    assert len(seen) == 3


def test_scores_of_all_runs_stand_beside_each_other_and_lead_to_their_pages(
    runs: list[pathlib.Path], tmp_path: pathlib.Path
) -> None:
    for run in runs:
        evaluated_runs.write_evaluation(run, {31: ("31.jpg", [])})
    path = runs[1] / "evaluation" / "test" / "scores.json"
    path.write_text(path.read_text().replace("1.8", "1.25"))
    (runs[0] / "evaluation" / "test" / "report.html").write_text("")
    evaluated_runs.write_evaluation(runs[1], {31: ("31.jpg", [])}, split="a <b> split")
    contents = run_content.gather([str(run) for run in runs], str(tmp_path / "page.html"), NOW)
    page = run_page.page(contents)
    assert "BLEU-4 0.400 0.400 0.100 0.500 CIDEr-D 1.800 1.250 0.300 2.500" in text_of(page)
    assert 'href="first/evaluation/test/report.html"' in page
    assert "Scores on a &lt;b&gt; split" in page


def test_samples_are_shown_for_some_steps_the_last_among_them(runs: list[pathlib.Path]) -> None:
    for step in range(100, 3100, 100):
        append_samples(
            str(runs[0]), step, [SampleCaption(1, "<i>.jpg", f"<b>{step}"), SampleCaption(2, "b.jpg", "a cat")]
        )
    page = run_page.page(gather(runs[0]))
    shown = [int(step) for step in re.findall("&lt;b&gt;([0-9]+)", page)]
    assert shown == list(range(300, 3100, 300))
    assert "&lt;i&gt;.jpg" in page
    assert "<b>" not in page


def test_runs_of_the_same_name_are_told_apart(tmp_path: pathlib.Path) -> None:
    for folder in ("one", "two"):
        evaluated_runs.write_run(tmp_path / folder / "run", tmp_path)
    names = [run.name for run in gather(tmp_path / "one" / "run", tmp_path / "two" / "run")]
    assert names == ["one/run", "two/run"]


def test_a_run_that_has_just_begun_is_shown(runs: list[pathlib.Path]) -> None:
    (runs[0] / "metrics.jsonl").unlink()
    os.utime(runs[0] / "config.json", (NOW, NOW))
    (run,) = gather(runs[0])
    assert (run.state, run.last_step, run.best_validation) == ("going on", 0, None)
    assert "No figures yet" in text_of(run_page.page([run]))


def test_a_row_that_is_being_written_waits_and_a_damaged_one_is_named(runs: list[pathlib.Path]) -> None:
    path = runs[0] / "metrics.jsonl"
    path.write_text('{"kind": "train", "step": 5, "epoch": 0.5, "loss": 3.0}\n{"kind": "tra')
    assert gather(runs[0])[0].last_step == 5
    for row in ('{"kind": "train", "step": 1}', "{]", '{"kind": [], "step": 1, "epoch": 0}', "[" * 200_000):
        path.write_text(row + "\n")
        with pytest.raises(ValueError, match=r"metrics.jsonl, line 1: .* is no row of metrics"):
            gather(runs[0])


def test_runs_that_cannot_be_compared_are_refused(runs: list[pathlib.Path], tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="is named more than once"):
        gather(runs[0], runs[0])
    with pytest.raises(FileNotFoundError, match=r"config.json.*is no run of im2txt.train"):
        gather(tmp_path)
    with pytest.raises(ValueError, match="9 runs are too many for one page"):
        run_page.page(gather(runs[0]) * 9)
    (runs[0] / "config.json").write_text("{")
    with pytest.raises(ValueError, match="config.json is cut short or not JSON"):
        gather(runs[0])
    (runs[0] / "config.json").write_text("[]")
    with pytest.raises(ValueError, match=r"config.json is no configuration of a run: an object is wanted, not '\[\]'"):
        gather(runs[0])
    assert json.loads((runs[1] / "config.json").read_text())


def test_a_damaged_evaluation_or_sample_is_named_and_one_of_another_program_passed_over(
    runs: list[pathlib.Path],
) -> None:
    results = evaluated_runs.write_evaluation(runs[0], {})
    scores = json.loads((results / "scores.json").read_text())
    del scores["step"]
    (results / "scores.json").write_text(json.dumps(scores))
    assert gather(runs[0])[0].evaluations == {}
    (results / "scores.json").write_text("{}")
    with pytest.raises(ValueError, match=r"test/scores.json is not what im2txt.evaluate writes: KeyError\('scores'\)"):
        gather(runs[0])
    (results / "scores.json").unlink()
    (runs[0] / "samples.jsonl").write_text('{"step": "first", "samples": []}\n')
    with pytest.raises(ValueError, match=r"samples.jsonl, line 1: .* is no row of samples"):
        gather(runs[0])
