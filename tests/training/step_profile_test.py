"""Profiles of training steps."""

import pytest

from im2txt.configuration import ExperimentConfig
from im2txt.train import TrainFlags
from im2txt.training.step_profile import ProfileSteps
from im2txt.training.train_step import StepMetrics

METRICS = StepMetrics(1.0, 1.0, 1.0)


@pytest.fixture
def spans(monkeypatch):
    """The steps at which the profiler begins and ends, instead of a profile."""
    seen = []
    monkeypatch.setattr("tensorflow.profiler.experimental.start", lambda directory: seen.append("begin"))
    monkeypatch.setattr("tensorflow.profiler.experimental.stop", lambda: seen.append("end"))
    return seen


def run(profile, first_step, last_step, spans):
    """A loop that looks up every 40 steps or where an action is due; returns what happened at which step."""
    happened, step = [], first_step
    with profile:
        happened += [(step, what) for what in spans]
        while step < last_step:
            step = min(profile.next_step(step) or last_step, step + 40, last_step)
            del spans[:]
            profile(step, METRICS)
            happened += [(step, what) for what in spans]
        del spans[:]
    return happened + [("after", what) for what in spans]


@pytest.mark.parametrize(
    ("steps", "first_step", "expected"),
    [
        ((100, 110), 0, [(100, "begin"), (110, "end")]),
        ((0, 1), 0, [(0, "begin"), (1, "end")]),
        ((100, 110), 100, [(100, "begin"), (110, "end")]),
        ((100, 110), 101, []),
        ((100, 200), 0, [(100, "begin"), ("after", "end")]),  # The run stops at 150.
    ],
)
def test_just_the_steps_of_the_range_are_profiled(steps, first_step, expected, tmp_path, spans):
    assert run(ProfileSteps(str(tmp_path), steps, first_step, 200), first_step, 150, spans) == expected


def test_steps_that_the_run_does_not_have_are_refused(tmp_path):
    with pytest.raises(ValueError, match="--profile_steps=100:110: the run has 109 steps"):
        ProfileSteps(str(tmp_path), (100, 110), 0, 109)


@pytest.mark.parametrize("text", ["100", "110:100", "5:5", "-1:4", "a:b", "100-110"])
def test_what_is_no_range_is_refused_with_the_flag(text):
    with pytest.raises(ValueError, match=f"--profile_steps='{text}'"):
        TrainFlags(ExperimentConfig(), "/tmp/run", text)
