"""n-grams as numbers: those of the references are indexed once, and found in hypotheses by whole batches.

BLEU and CIDEr-D ask the same of a hypothesis, which of its n-grams the references of its image have and how often, so
both read the matches made here. An n-gram of n words is known by the number of its first n - 1 words and the number of
its last one; both fit into one 64-bit key, and a sorted array of keys is the index.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

MAX_ORDER = 4
_HALF = 32  # bits of a key that hold its second part

Caption = Sequence[Hashable]  # words, as strings or as ids


class NgramTable(NamedTuple):
    """The different n-grams, of one length n, in a list of captions.

    Attributes:
        starts: int64 `[captions + 1]`, where the n-grams of each caption begin in the arrays below.
        ids: int64 `[entries]`, ascending within a caption; those from `NgramIndex.sizes` on are not in the index.
        counts: int64 `[entries]`, how often the caption has the n-gram.
    """

    starts: np.ndarray
    ids: np.ndarray
    counts: np.ndarray

    def captions(self) -> np.ndarray:
        """The caption of each entry, int64 `[entries]`."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))


class Matches(NamedTuple):
    """Where hypotheses and references of the same image share n-grams of one length.

    Attributes:
        entries: int64 `[matches]`, the entry in the hypotheses' table.
        pairs: int64 `[matches]`, the pair of a hypothesis and a reference.
        reference_counts: int64 `[matches]`, how often the reference has the n-gram.
    """

    entries: np.ndarray
    pairs: np.ndarray
    reference_counts: np.ndarray


class MatchedHypotheses(NamedTuple):
    """Hypotheses beside the references of their images; B hypotheses make P pairs with a reference.

    Attributes:
        lengths: int64 `[B]`, words.
        reference_lengths: int64 `[P]`, words of the reference of each pair.
        tables: the n-grams of the hypotheses, for n = 1 .. `MAX_ORDER`.
        matches: what they share with references, for each n.
        pair_starts: int64 `[B + 1]`, where the pairs of each hypothesis begin; each has one at least.
        pair_references: int64 `[P]`, the reference of each pair.
    """

    lengths: np.ndarray
    reference_lengths: np.ndarray
    tables: list[NgramTable]
    matches: list[Matches]
    pair_starts: np.ndarray
    pair_references: np.ndarray

    def pair_hypotheses(self) -> np.ndarray:
        """The hypothesis of each pair, int64 `[P]`."""
        return np.repeat(np.arange(len(self.lengths)), np.diff(self.pair_starts))


class NgramIndex:
    """Numbers the words and n-grams of some captions.

    Attributes:
        lengths: int64 `[captions]`, words.
        tables: the n-grams of the captions, for n = 1 .. `MAX_ORDER`.
        sizes: how many different n-grams there are, for each n.
    """

    def __init__(self, captions: Iterable[Caption]) -> None:
        self._words: dict[Hashable, int] = {}
        self._keys: list[np.ndarray] = []  # Ascending, for n = 2 .. MAX_ORDER.
        words, self.lengths, new = self._number_words(captions)
        self._words = new
        self.tables = self._tables(words, self.lengths, learn=True)
        self.sizes = [len(new), *(len(keys) for keys in self._keys)]

    def count(self, captions: Iterable[Caption]) -> tuple[np.ndarray, list[NgramTable]]:
        """Returns the lengths and n-grams of other captions; what is new gets numbers that hold for this call."""
        words, lengths, _ = self._number_words(captions)
        return lengths, self._tables(words, lengths, learn=False)

    def _number_words(self, captions: Iterable[Caption]) -> tuple[np.ndarray, np.ndarray, dict[Hashable, int]]:
        """Returns the words of all captions as numbers, the captions' lengths, and the numbers of new words."""
        known = self._words
        new: dict[Hashable, int] = {}
        lengths, numbers = [], []
        for caption in captions:
            lengths.append(len(caption))
            for word in caption:
                number = known.get(word)
                if number is None:
                    number = new.setdefault(word, len(known) + len(new))
                numbers.append(number)
        return np.array(numbers, np.int64), np.array(lengths, np.int64), new

    def _tables(self, words: np.ndarray, lengths: np.ndarray, learn: bool) -> list[NgramTable]:
        starts = np.concatenate([[0], np.cumsum(lengths)])
        captions = np.repeat(np.arange(len(lengths)), lengths)
        places = np.arange(len(words)) - starts[captions]  # of each word in its caption
        ids, last = words, np.arange(len(words))  # of the n-grams so far, and where each ends
        tables = []
        for order in range(1, MAX_ORDER + 1):
            if order > 1:
                longer = np.flatnonzero(places[last] < lengths[captions[last]] - 1)
                keys = ids[longer] << _HALF | words[last[longer] + 1]
                last = last[longer] + 1
                ids = self._learn(keys) if learn else self._find(keys, order)
            entries, counts = np.unique(captions[last] << _HALF | ids, return_counts=True)
            bounds = np.searchsorted(entries >> _HALF, np.arange(len(lengths) + 1))
            tables.append(NgramTable(bounds, entries & (1 << _HALF) - 1, counts))
        return tables

    def _learn(self, keys: np.ndarray) -> np.ndarray:
        known, ids = np.unique(keys, return_inverse=True)
        self._keys.append(known)
        return ids

    def _find(self, keys: np.ndarray, order: int) -> np.ndarray:
        known = self._keys[order - 2]
        ids = np.searchsorted(known, keys)
        is_new = np.ones(len(keys), bool)
        inside = np.flatnonzero(ids < len(known))
        is_new[inside] = known[ids[inside]] != keys[inside]
        ids[is_new] = len(known) + np.unique(keys[is_new], return_inverse=True)[1]
        return ids


class ReferenceNgrams:
    """The n-grams of the references of some images.

    Attributes:
        index: of all references, one image after the other.
        image_starts: int64 `[images + 1]`, where the references of each image begin.
    """

    def __init__(self, references: Sequence[Sequence[Caption]]) -> None:
        """Indexes the references.

        Args:
            references: the captions of each image, as words.

        Raises:
            ValueError: an image has no reference.
        """
        sizes = [len(captions) for captions in references]
        if 0 in sizes:
            raise ValueError(f"Image number {sizes.index(0)} has no reference; leave it out or add one.")
        self.image_starts = np.concatenate([[0], np.cumsum(np.array(sizes, np.int64))])
        self.index = NgramIndex(caption for captions in references for caption in captions)

    def match(
        self, hypotheses: Sequence[Caption], images: Sequence[int] | np.ndarray | None = None
    ) -> MatchedHypotheses:
        """Finds the n-grams of hypotheses in the references of their images.

        Args:
            hypotheses: captions as words.
            images: the image of each, by its place among the references; None if there is one hypothesis for each
                image, in their order.

        Raises:
            ValueError: there are not as many images as hypotheses.
        """
        num_images = len(self.image_starts) - 1
        rows = np.arange(num_images) if images is None else np.asarray(images, np.int64)
        if len(rows) != len(hypotheses):
            raise ValueError(
                f"Found {len(hypotheses)} hypotheses but references of {len(rows)} images; "
                "each image needs one hypothesis and its references, in the same order."
            )
        lengths, tables = self.index.count(hypotheses)
        pair_starts, pair_references = _expand(self.image_starts, rows)
        pair_hypotheses = np.repeat(np.arange(len(rows)), np.diff(pair_starts))
        matches = []
        for table, of_references in zip(tables, self.index.tables, strict=True):
            bounds, entries = _expand(of_references.starts, pair_references)
            pairs = np.repeat(np.arange(len(pair_references)), np.diff(bounds))
            keys = table.captions() << _HALF | table.ids
            wanted = pair_hypotheses[pairs] << _HALF | of_references.ids[entries]
            found = np.minimum(np.searchsorted(keys, wanted), max(0, len(keys) - 1))
            hits = np.flatnonzero(keys[found] == wanted) if len(keys) else np.zeros(0, np.int64)
            matches.append(Matches(found[hits], pairs[hits], of_references.counts[entries[hits]]))
        return MatchedHypotheses(
            lengths, self.index.lengths[pair_references], tables, matches, pair_starts, pair_references
        )


def _expand(starts: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the members of some groups, one group after the other, and where each begins among them.

    Args:
        starts: int64 `[all groups + 1]`; group g has the members `starts[g]` to `starts[g + 1] - 1`.
        groups: int64 `[chosen]`.
    """
    sizes = starts[groups + 1] - starts[groups]
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    return bounds, np.arange(bounds[-1]) + np.repeat(starts[groups] - bounds[:-1], sizes)
