import sys
import types

import numpy as np
import pytest

from im2txt.metrics import java_metrics
from im2txt.metrics.caption_metrics import CaptionScorer

SCORER = CaptionScorer({5: ["A 1 1/2 foot dog.", "two dogs"], 3: ["a cat"]})
SCORES = SCORER.score({3: "A cat!", 5: "dogs"})


@pytest.fixture
def pycocoevalcap(monkeypatch):
    """A stand-in for the package, whose METEOR and SPICE keep what they are given."""
    seen = {}

    class Meteor:
        def compute_score(self, references, hypotheses):
            seen.update(references=references, hypotheses=hypotheses)
            return 0.25, [0.5, 0.125]

    class Spice(Meteor):
        def compute_score(self, references, hypotheses):
            return np.float64(0.5), [{"All": {"f": 0.75}}, {"All": {"f": 0.25}}]

    monkeypatch.setattr(java_metrics.shutil, "which", lambda name: f"/bin/{name}")
    for name, scorer in (("meteor", Meteor), ("spice", Spice)):
        module = types.ModuleType(name)
        setattr(module, scorer.__name__, scorer)
        monkeypatch.setitem(sys.modules, f"pycocoevalcap.{name}.{name}", module)
    return seen


def test_meteor_is_given_the_tokens_of_all_images_in_their_order(pycocoevalcap) -> None:
    score, of_images = java_metrics.java_metric("METEOR", SCORER, SCORES)
    assert (score, of_images.tolist()) == (0.25, [0.5, 0.125])
    assert pycocoevalcap["references"] == {0: ["a 1\u00a01/2 foot dog", "two dogs"], 1: ["a cat"]}
    assert pycocoevalcap["hypotheses"] == {0: ["dogs"], 1: ["a cat"]}


def test_of_spice_the_score_of_all_its_parts_is_taken(pycocoevalcap) -> None:
    score, of_images = java_metrics.java_metric("SPICE", SCORER, SCORES)
    assert (score, of_images.tolist()) == (0.5, [0.75, 0.25])


def test_what_is_missing_is_named(monkeypatch, pycocoevalcap) -> None:
    monkeypatch.setattr(java_metrics.shutil, "which", lambda name: None)
    with pytest.raises(RuntimeError, match="METEOR is a Java program, and no `java` is on the path"):
        java_metrics.check_java_metric("METEOR")
    monkeypatch.setitem(sys.modules, "pycocoevalcap.spice.spice", None)
    with pytest.raises(RuntimeError, match=r"SPICE needs the package pycocoevalcap.*requirements-java-metrics\.txt"):
        java_metrics.check_java_metric("SPICE")


def test_a_failure_of_the_java_program_is_told_in_one_line(monkeypatch, pycocoevalcap) -> None:
    class Meteor:
        def compute_score(self, references, hypotheses):
            raise BrokenPipeError("Broken pipe")

    monkeypatch.setattr(sys.modules["pycocoevalcap.meteor.meteor"], "Meteor", Meteor)
    with pytest.raises(RuntimeError, match="pycocoevalcap's METEOR failed: BrokenPipeError.*Leave its flag out"):
        java_metrics.java_metric("METEOR", SCORER, SCORES)
