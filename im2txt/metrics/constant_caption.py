"""The floor under all scores: one caption for every image."""

from __future__ import annotations

import numpy as np

from im2txt.metrics.caption_metrics import CaptionScorer
from im2txt.metrics.cider import CiderD, length_penalties
from im2txt.metrics.ngrams import Caption

_SHORTLIST = 20  # captions that are scored exactly


def best_constant_caption(scorer: CaptionScorer) -> str:
    """The reference caption that scores best when given to every image.

    Best by CIDEr-D; another caption may have a higher BLEU. All different reference captions are ranked by an
    approximation that needs no pass over the references for each: CIDEr-D without clipping, times the mean length
    penalty. The first 20 are then scored exactly, which on 1,000 images of Flickr8k finds the same caption as scoring
    all 4,992 exactly. The choice looks at the references that it is scored on: no constant caption chosen honestly does
    better.

    Returns:
        The caption, as one of the references spells it.
    """
    words = [caption for of_image in scorer.words for caption in of_image]
    spellings = [caption for of_image in scorer.captions for caption in of_image]
    order = np.argsort(-_approximate_scores(scorer.cider), kind="stable")
    shortlist: dict[Caption, int] = {}  # the first place of each different caption
    for place in order.tolist():
        shortlist.setdefault(tuple(words[place]), place)
        if len(shortlist) == _SHORTLIST:
            break
    scores = {place: _score_of_constant(scorer.cider, place) for place in shortlist.values()}
    return spellings[max(scores, key=scores.__getitem__)]


def _approximate_scores(cider: CiderD) -> np.ndarray:
    """For each reference a number that grows with its CIDEr-D as the caption of every image, float64 `[references]`."""
    index = cider.references.index
    cosines = np.zeros(len(index.lengths))
    for table, weights, norms in zip(index.tables, cider.squared_weights, cider.norms, strict=True):
        captions = table.captions()
        norm = norms[captions]
        parts = np.divide(table.counts, norm, out=np.zeros(len(norm)), where=norm > 0)
        direction = np.bincount(table.ids, parts, len(weights))  # the sum of all normalised references
        cosines += np.bincount(captions, parts * direction[table.ids] * weights[table.ids], len(cosines))
    lengths, which, counts = np.unique(index.lengths, return_inverse=True, return_counts=True)
    return cosines * (length_penalties(lengths[:, None], lengths) @ counts)[which]


def _score_of_constant(cider: CiderD, constant: int) -> float:
    """CIDEr-D, summed over images, of one of the references as the caption of every image."""
    references = cider.references
    lengths, starts = references.index.lengths, references.image_starts
    cosines = np.zeros(len(lengths))
    for table, weights, norms in zip(references.index.tables, cider.squared_weights, cider.norms, strict=True):
        own = slice(table.starts[constant], table.starts[constant + 1])
        of_constant = np.zeros(len(weights), np.int64)
        of_constant[table.ids[own]] = table.counts[own]
        hits = np.flatnonzero(of_constant[table.ids])
        ids, counts = table.ids[hits], table.counts[hits]
        products = np.bincount(
            np.searchsorted(table.starts, hits, side="right") - 1,
            np.minimum(of_constant[ids], counts) * counts * weights[ids],
            len(cosines),
        )
        norm = norms[constant] * norms
        cosines += np.divide(products, norm, out=np.zeros(len(norm)), where=norm > 0)
    similarities = cosines * length_penalties(lengths[constant], lengths)
    return float((np.add.reduceat(similarities, starts[:-1]) / np.diff(starts)).sum())
