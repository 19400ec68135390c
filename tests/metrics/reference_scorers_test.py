"""BLEU, ROUGE-L and CIDEr-D against pycocoevalcap: against its figures, and against itself where it is installed.

The figures are those of pycocoevalcap 1.2 with Java 17. With FLICKR8K_TEXT=.../Flickr8k_text in the environment, the
40,460 captions of Flickr8k are scored too.
"""

import hashlib
import importlib.util
import json
import os
import pathlib
import shutil

import numpy as np
import pytest
from odd_captions import odd_references

from im2txt.metrics.caption_metrics import METRICS, CaptionScorer, human_captions, score_captions
from im2txt.text.coco_tokenization import coco_tokens

Captions = dict[int, list[str]]

needs_pycocoevalcap = pytest.mark.skipif(
    not shutil.which("java") or not importlib.util.find_spec("pycocoevalcap"),
    reason="needs Java and pycocoevalcap (pip install -r requirements-java-metrics.txt)",
)
ODD_FIGURES = (
    0.2924776734600329, 0.03960107192878714, 0.005577666216882981,
    2.932068528276438e-07, 0.1392067864066845, 0.06056615881099128,
)  # fmt: skip
FLICKR8K_FIGURES = (
    0.6352074223692025, 0.44759663891678714, 0.30956216327968294,
    0.2121525826024252, 0.49442675066750774, 0.7698617628094211,
)  # fmt: skip


def first_against_others(references: Captions) -> list[float]:
    scores = score_captions(*human_captions(references))
    return [scores[name] for name in METRICS]


def test_odd_captions_score_as_in_pycocoevalcap() -> None:
    references = odd_references(4000)
    made = hashlib.sha256(json.dumps(references).encode()).hexdigest()
    assert made.startswith("846837bf0efd6277"), "Other captions are made than the figures are of."
    assert first_against_others(references) == pytest.approx(ODD_FIGURES, abs=1e-9, rel=0)


@pytest.mark.skipif("FLICKR8K_TEXT" not in os.environ, reason="needs FLICKR8K_TEXT=.../Flickr8k_text")
def test_flickr8k_scores_as_in_pycocoevalcap() -> None:
    references: dict[str, list[str]] = {}
    for line in (pathlib.Path(os.environ["FLICKR8K_TEXT"]) / "Flickr8k.token.txt").read_text().splitlines():
        name, caption = line.split("\t")
        references.setdefault(name.partition("#")[0], []).append(caption)
    assert sum(map(len, references.values())) == 40_460
    scores = first_against_others(dict(enumerate(references.values())))
    assert scores == pytest.approx(FLICKR8K_FIGURES, abs=1e-9, rel=0)


def pycocoevalcap_tokens(captions: Captions) -> Captions:
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    return PTBTokenizer().tokenize(
        {i: [{"caption": caption} for caption in of_image] for i, of_image in captions.items()}
    )


@needs_pycocoevalcap
def test_odd_captions_have_the_tokens_and_scores_of_pycocoevalcap_itself(monkeypatch) -> None:
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    monkeypatch.setenv("LC_ALL", "C.UTF-8")  # Java reads files in the locale's encoding.
    captions = odd_references(1000, seed=1)
    firsts, others = human_captions(captions)
    references = pycocoevalcap_tokens(others)
    expected_tokens = [caption for of_image in references.values() for caption in of_image]
    assert list(map(" ".join, coco_tokens([c for of_image in others.values() for c in of_image]))) == expected_tokens
    hypotheses = pycocoevalcap_tokens({i: [caption] for i, caption in firsts.items()})
    bleu, bleu_of_images = Bleu(4).compute_score(references, hypotheses, verbose=0)
    rouge, rouge_of_images = Rouge().compute_score(references, hypotheses)
    cider, cider_of_images = Cider().compute_score(references, hypotheses)
    scores = CaptionScorer(others).score(firsts)
    assert list(scores.corpus().values()) == pytest.approx([*bleu, rouge, cider], abs=1e-9, rel=0)
    of_images = [*bleu_of_images, rouge_of_images, cider_of_images]
    np.testing.assert_allclose(list(scores.of_images().values()), of_images, rtol=0, atol=1e-9)


@needs_pycocoevalcap
def test_meteor_runs() -> None:
    from im2txt.metrics.java_metrics import java_metric

    scorer = CaptionScorer({1: ["a dog runs on the grass", "a dog"], 2: ["two cats sleep in the sun"]})
    scores = scorer.score({1: "a dog runs on the grass", 2: "red buses"})
    meteor, of_images = java_metric("METEOR", scorer, scores)
    assert of_images == pytest.approx([1.0, 0.0], abs=1e-3)
    assert 0.3 < meteor < 0.7
