import random
from collections.abc import Sequence

import numpy as np
import pytest

from im2txt.metrics.cider import CiderD, cider_d
from im2txt.metrics.ngrams import ReferenceNgrams


def dense_cider_d(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """CIDEr-D from its formula, on dense vectors over all n-grams."""
    scores = np.zeros(len(hypotheses))
    for n in range(1, 5):

        def ngrams(caption: str, n: int = n) -> list[str]:
            words = caption.split()
            return [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]

        captions = [*hypotheses, *(caption for image in references for caption in image)]
        axes = sorted({ngram for caption in captions for ngram in ngrams(caption)})

        def counts(caption: str, axes: list[str] = axes) -> np.ndarray:
            found = ngrams(caption)
            return np.array([found.count(axis) for axis in axes], float)

        frequency = sum(np.max([counts(c) > 0 for c in image], axis=0).astype(float) for image in references)
        idf = np.log(len(references)) - np.log(np.maximum(1.0, frequency))
        for image, (hypothesis, image_references) in enumerate(zip(hypotheses, references, strict=True)):
            h = counts(hypothesis) * idf
            for reference in image_references:
                r = counts(reference) * idf
                norms = np.linalg.norm(h) * np.linalg.norm(r)
                cosine = np.minimum(h, r) @ r / norms if norms else 0.0
                difference = len(hypothesis.split()) - len(reference.split())
                gaussian = np.exp(-(difference**2) / (2 * 6.0**2))
                scores[image] += 10 * cosine * gaussian / 4 / len(image_references)
    return scores.tolist()


def split(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    return cider_d([h.split() for h in hypotheses], [[r.split() for r in image] for image in references])


def test_agrees_with_the_formula_on_dense_vectors() -> None:
    random_source = random.Random(11)
    words = ["a", "a", "a", "dog", "cat", "runs", "on", "the", "grass"]

    def caption() -> str:
        return " ".join(random_source.choices(words, k=random_source.randint(1, 9)))

    hypotheses = [caption() for _ in range(12)]
    references = [[caption() for _ in range(random_source.randint(1, 5))] for _ in range(12)]
    expected = dense_cider_d(hypotheses, references)
    assert max(expected) > 1
    assert split(hypotheses, references) == pytest.approx(expected, abs=1e-12)


def test_two_images_by_hand() -> None:
    # "a" stands in both images and weighs nothing; every other n-gram weighs log 2. One of the two
    # references repeats the hypothesis word for word, the other shares nothing: (10 + 0) / 2.
    scores = split(["a red dog runs fast", "x"], [["a red dog runs fast", "one two three"], ["a", "b c"]])
    assert scores == pytest.approx([5.0, 0.0])


def test_a_longer_caption_pays_for_its_length() -> None:
    references = [["b c d e"], ["q"]]
    exact, longer = split(["b c d e", "q"], references)[0], split(["b c d e b c d e", "q"], references)[0]
    assert exact == pytest.approx(10.0)
    assert 0 < longer < 10 * np.exp(-(4**2) / 72)


def test_a_single_image_scores_zero_by_definition() -> None:
    assert split(["a dog runs on grass"], [["a dog runs on grass"]]) == [0.0]


def test_captions_without_words_score_zero() -> None:
    assert split(["", "b"], [["a"], [""]]) == [0.0, 0.0]


def test_lists_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="1 hypotheses but references of 2 images"):
        split(["a"], [["a"], ["b"]])


def test_batches_of_any_images_score_as_all_images_at_once() -> None:
    # As a reward: several captions of an image, in any order, and words that no reference has.
    source = random.Random(4)
    words = ["a", "a", "dog", "cat", "runs", "on", "grass", "new"]

    def caption() -> list[str]:
        return source.choices(words, k=source.randint(1, 8))

    references = [[[word for word in caption() if word != "new"] for _ in range(3)] for _ in range(40)]
    cider = CiderD(ReferenceNgrams(references))
    images = source.choices(range(40), k=25)
    captions = [caption() for _ in images]
    expected = []
    for captured, image in zip(captions, images, strict=True):
        hypotheses = [["cat"]] * image + [captured] + [["dog"]] * (39 - image)
        expected.append(
            dense_cider_d([" ".join(h) for h in hypotheses], [list(map(" ".join, r)) for r in references])[image]
        )
    assert cider.scores(captions, images).tolist() == pytest.approx(expected, abs=1e-12)
    for caption_of_one, image, score in zip(captions, images, expected, strict=True):
        assert cider.scores([caption_of_one], [image]).tolist() == pytest.approx([score], abs=1e-12)
