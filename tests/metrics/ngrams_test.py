import random
from collections import Counter

import numpy as np
import pytest

from im2txt.metrics.ngrams import MAX_ORDER, NgramIndex, ReferenceNgrams


def random_captions(count: int, seed: int, words: str = "abcdefg") -> list[list[str]]:
    source = random.Random(seed)
    return [source.choices(words, k=source.randint(0, 9)) for _ in range(count)]


def count_ngrams(caption: list[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(caption[i : i + order]) for i in range(len(caption) - order + 1))


def counts_of(table, caption: int) -> list[int]:
    return sorted(table.counts[table.starts[caption] : table.starts[caption + 1]].tolist())


def test_each_caption_has_its_ngrams_as_often_as_it_says_them() -> None:
    captions = random_captions(200, seed=1)
    index = NgramIndex(captions)
    assert index.lengths.tolist() == list(map(len, captions))
    for order, (table, size) in enumerate(zip(index.tables, index.sizes, strict=True), start=1):
        counters = [count_ngrams(caption, order) for caption in captions]
        assert size == len(set().union(*counters))
        for i, counter in enumerate(counters):
            assert counts_of(table, i) == sorted(counter.values())


def test_equal_ngrams_have_equal_numbers_and_others_do_not() -> None:
    captions = random_captions(60, seed=2)
    others = random_captions(60, seed=3, words="abcxyz")  # half of the words are new
    index = NgramIndex(captions)
    for order in range(1, MAX_ORDER + 1):
        known = {g for caption in captions for g in count_ngrams(caption, order)}
        of_others = [list(count_ngrams(other, order)) for other in others]
        different = sorted({g for ngrams in of_others for g in ngrams})
        # A caption that is nothing but one n-gram tells that n-gram's number.
        _, tables = index.count([*different, *others])
        table = tables[order - 1]
        numbers = dict(zip(different, table.ids[: len(different)].tolist(), strict=True))
        assert len(set(numbers.values())) == len(different)
        assert {g for g in different if numbers[g] < index.sizes[order - 1]} == known.intersection(different)
        for i, ngrams in enumerate(of_others, start=len(different)):
            ids = table.ids[table.starts[i] : table.starts[i + 1]].tolist()
            assert ids == sorted(numbers[g] for g in ngrams)


def test_matches_are_those_of_counting_by_hand() -> None:
    references = [random_captions(size, seed=size, words="abc") for size in (1, 3, 5)]
    hypotheses, images = random_captions(7, seed=9, words="abcx"), [2, 0, 1, 2, 2, 0, 1]
    matched = ReferenceNgrams(references).match(hypotheses, images)
    pairs = [(h, reference) for h, image in enumerate(images) for reference in references[image]]
    assert matched.pair_hypotheses().tolist() == [h for h, _ in pairs]
    assert matched.reference_lengths.tolist() == [len(reference) for _, reference in pairs]
    for order, (table, matches) in enumerate(zip(matched.tables, matched.matches, strict=True), start=1):
        clipped = np.minimum(table.counts[matches.entries], matches.reference_counts)
        found = np.bincount(matches.pairs, clipped, len(pairs))
        expected = [(count_ngrams(hypotheses[h], order) & count_ngrams(r, order)).total() for h, r in pairs]
        assert found.tolist() == expected


def test_words_may_be_ids() -> None:
    words = random_captions(30, seed=5)
    ids = [[ord(word) for word in caption] for caption in words]
    for of_words, of_ids in zip(NgramIndex(words).tables, NgramIndex(ids).tables, strict=True):
        np.testing.assert_array_equal(of_words.counts, of_ids.counts)


def test_captions_without_words_have_no_ngrams() -> None:
    matched = ReferenceNgrams([[[]], [["a"]]]).match([["a", "b"], []])
    assert [len(matches.entries) for matches in matched.matches] == [0] * MAX_ORDER
    assert matched.lengths.tolist() == [2, 0]


def test_images_without_references_and_wrong_numbers_of_hypotheses_are_refused() -> None:
    with pytest.raises(ValueError, match="Image number 1 has no reference"):
        ReferenceNgrams([[["a"]], []])
    with pytest.raises(ValueError, match="1 hypotheses but references of 2 images"):
        ReferenceNgrams([[["a"]], [["b"]]]).match([["a"]])
