"""Photographs to captions: the captioner's step function under a search, and ids back to sentences."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from im2txt.configuration import DecodingConfig
from im2txt.decoding.beam_search import State, StepFn, beam_search
from im2txt.decoding.sampling import sample_captions
from im2txt.decoding.search_result import SearchResult
from im2txt.decoding.word_rules import WordRules
from im2txt.text.tokenization import detokenize
from im2txt.text.vocabulary import Vocabulary


class StepModel(Protocol):
    """What a search asks of a captioner, or of several that speak as one."""

    @property
    def vocab_size(self) -> int:
        """V, the words that log probabilities are given of."""

    def start(self, batch: dict[str, tf.Tensor], num_steps: int) -> tuple[State, StepFn]:
        """Returns the state before `<S>`, a nest of [B, ...], and the search's step function for up to `num_steps`."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One caption of a photograph.

    Attributes:
        caption: a display string.
        words: the words joined by spaces, which is what scorers want.
        log_prob: sum over its words, nats.
        score: what candidates are ranked by; log_prob, length-normalised where asked for.
        is_complete: whether `</S>` was reached within the allowed length.
        word_log_probs: of each of `words` and, if complete, of `</S>`; nats, sums to log_prob.
        attention: of each of them how much of the attention before it was on each place of the photograph, row by row;
            each sums to 1. Empty where it was not asked for, for all but the best caption, and for decoders that do not
            look at places.
    """

    caption: str
    words: str
    log_prob: float
    score: float
    is_complete: bool
    word_log_probs: tuple[float, ...]
    attention: tuple[tuple[float, ...], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields for a JSON file, `attention` only where there is one."""
        fields = dataclasses.asdict(self)
        return fields if self.attention else {name: value for name, value in fields.items() if name != "attention"}


class AttentiveModel(StepModel, Protocol):
    """What is asked of a captioner besides to tell where it looks; see `Captioner` for both."""

    def features(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        """Returns the photographs' features."""

    def attention_maps(self, features: tf.Tensor, word_ids: tf.Tensor) -> tf.Tensor | None:
        """Returns float32 [B, L - 1, P], of each word but `<S>`, or None."""


class CaptionGenerator:
    """Captions batches of photographs or features."""

    def __init__(
        self,
        captioner: StepModel,
        vocabulary: Vocabulary,
        tokenizer: str,
        config: DecodingConfig,
        attentive: AttentiveModel | None = None,
    ):
        """Keeps the parts; the search is traced at its first use.

        Args:
            captioner: with trained weights.
            vocabulary: the run's.
            tokenizer: name of the tokenizer the captions were made with, to turn words back into sentences.
            config: beam size, lengths and what may be said.
            attentive: the captioner again where `Candidate.attention` is asked for.
        """
        self._vocabulary = vocabulary
        self._tokenizer = tokenizer
        search = build_search(captioner, vocabulary, config)

        def found(batch: dict[str, tf.Tensor]) -> tuple[SearchResult, tf.Tensor | None]:
            if attentive is None:
                return search(batch), None
            features = attentive.features(batch)
            result = search(batch | {"features": features})
            # The best captions once more, all words at once: where the search looked, which it need not carry.
            return result, attentive.attention_maps(features, result.word_ids[:, 0])

        self._search = tf.function(found, reduce_retracing=True)

    def __call__(self, batch: dict[str, tf.Tensor]) -> list[list[Candidate]]:
        """Captions a batch.

        Args:
            batch: `images` float32 [B, S, S, 3] or `features` float32 [B, F]; what else it holds is not looked at but
                for `image_id` int64 [B], by which samples are drawn (a photograph's position where it is absent).

        Returns:
            For each photograph its captions, best first, at most beam_size. Where all probability lies on words that
            may not be said, a beam search gives none, and samples are empty captions.
        """
        inputs = {name: batch[name] for name in ("images", "features", "image_id") if name in batch}
        tensors, attention = self._search(inputs)
        result = SearchResult(*(tensor.numpy() for tensor in tensors))
        maps = None if attention is None else attention.numpy()
        return [
            [self._candidate(result, b, k, maps if k == 0 else None) for k in range(result.counts[b])]
            for b in range(len(result.counts))
        ]

    def _candidate(self, result: SearchResult, b: int, k: int, maps: np.ndarray | None) -> Candidate:
        attention = () if maps is None else maps[b, : max(result.lengths[b, k] - 1, 0)].tolist()
        words = self._vocabulary.decode(result.word_ids[b, k, : result.lengths[b, k]])
        return Candidate(
            caption=detokenize(words, self._tokenizer),
            words=" ".join(words),
            log_prob=float(result.log_probs[b, k]),
            score=float(result.scores[b, k]),
            is_complete=bool(result.is_complete[b, k]),
            word_log_probs=tuple(result.word_log_probs[b, k, 1 : result.lengths[b, k]].tolist()),
            attention=tuple(tuple(round(share, 4) for share in of_word) for of_word in attention),
        )


def build_search(
    captioner: StepModel, vocabulary: Vocabulary, config: DecodingConfig
) -> Callable[[dict[str, tf.Tensor]], SearchResult]:
    """Returns the search that a configuration asks for: from a batch to a `SearchResult`.

    See `CaptionGenerator` for the arguments; the function belongs inside a `tf.function`.
    """
    # <S> is the target of no step, but an untrained model may still choose it.
    forbidden = [] if config.allow_start else [vocabulary.start_id]
    if not config.allow_unknown:  # Rows to spare stand for no word, and are shown as <UNK>.
        forbidden += [vocabulary.unknown_id, *range(len(vocabulary), captioner.vocab_size)]
    lengths = {"start_id": vocabulary.start_id, "max_caption_length": config.max_caption_length}

    def beams(batch: dict[str, tf.Tensor]) -> SearchResult:
        state, step_fn = captioner.start(batch, config.max_caption_length - 1)
        return beam_search(
            step_fn,
            state,
            batch_size=tf.shape(tf.nest.flatten(state)[0])[0],
            end_id=vocabulary.end_id,
            beam_size=config.beam_size,
            length_normalization_factor=config.length_normalization_factor,
            forbidden_ids=forbidden,
            min_caption_length=config.min_caption_length,
            no_repeat_ngram_size=config.no_repeat_ngram_size,
            num_groups=config.beam_groups if config.method == "diverse_beam" else 1,
            diversity_strength=config.diversity_strength,
            **lengths,
        )

    def samples(batch: dict[str, tf.Tensor]) -> SearchResult:
        state, step_fn = captioner.start(batch, config.max_caption_length - 1)
        positions = tf.range(tf.shape(tf.nest.flatten(state)[0])[0])
        return sample_captions(
            step_fn,
            state,
            WordRules(vocabulary.end_id, forbidden, config.min_caption_length, config.no_repeat_ngram_size),
            keys=batch.get("image_id", tf.cast(positions, tf.int64)),
            seed=config.sampling_seed,
            num_samples=config.beam_size,
            temperature=config.temperature,
            top_k=config.top_k,
            top_p=config.top_p,
            **lengths,
        )

    return samples if config.method == "sample" else beams
