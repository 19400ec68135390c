"""A new run that starts with the weights of a trained one: fine-tuning, on the same words or on more.

Words keep their ids; what the new vocabulary appends to them gets rows of its own. A new word was `<UNK>` until now, so
it starts as one: with the vector of `<UNK>` to read, and with an equal share of its probability to write. The
probabilities of all other words are the same as before, and gradients tell the new ones apart.
"""

from __future__ import annotations

import math

import numpy as np

from im2txt.configuration import EncoderConfig
from im2txt.model.captioner import Captioner
from im2txt.runs.run_folder import load_run
from im2txt.shards.manifest import Manifest
from im2txt.text.vocabulary import Vocabulary

_ROWS_OF_WORDS = {"word_embedding": 0, "logits/kernel": 1, "logits/bias": 0}
"""Weights of a decoder that have an entry for every word, and the axis it stands on."""


def load_initial_weights(
    workdir: str, captioner: Captioner, words: Vocabulary, encoder: EncoderConfig, data: Manifest
) -> None:
    """Gives a new captioner the weights of a run.

    Args:
        workdir: folder of the trained run.
        captioner: the new one, with initial weights.
        words: of the new captioner: the run's, and new ones after them.
        encoder: of the new captioner.
        data: of the shards that the new run is trained on; with cached features only the decoder is loaded.

    Raises:
        FileNotFoundError: if the folder holds no run or no checkpoint.
        ValueError: if the vocabulary, encoder or decoder is another.
        RuntimeError: if all of the run's checkpoints are damaged.
    """
    source = load_run(workdir, data)
    _check_vocabulary(source.vocabulary, words, workdir)
    _check_encoder(source.config.encoder, encoder, workdir)
    old_weights = source.captioner.decoder.variables
    for name, new in captioner.decoder.variables.items():
        if name not in old_weights:
            raise ValueError(f"The run in {workdir} is of another decoder: it has no {name}.")
        value = old_weights[name].numpy()
        if name in _ROWS_OF_WORDS:
            axis = _ROWS_OF_WORDS[name]
            value = _grow(value, axis, new.shape[axis], source.vocabulary, len(words), shares=name == "logits/bias")
        if value.shape != tuple(new.shape):
            raise ValueError(
                f"{name} of the run in {workdir} has shape {list(value.shape)}, the new decoder's {list(new.shape)}. "
                f"Start from its configuration: --config={workdir}/config.json."
            )
        new.assign(value)
    if captioner.encoder is not None and source.captioner.encoder is not None:
        old_weights = source.captioner.encoder.variables
        for name, new in captioner.encoder.variables.items():
            new.assign(old_weights[name].numpy())


def _grow(old: np.ndarray, axis: int, num_rows: int, old_words: Vocabulary, num_words: int, shares: bool) -> np.ndarray:
    """Returns weights with `num_rows` entries along the axis: old words', new words', then the old ones to spare."""
    old = np.moveaxis(old, axis, 0)
    spare = old[num_words:num_rows]
    kept = old[: len(old_words)]
    num_new = num_rows - len(kept) - len(spare)
    unknown = kept[old_words.unknown_id]
    if shares:
        unknown = unknown - math.log(1 + num_new)
        kept = kept.copy()
        kept[old_words.unknown_id] = unknown
    return np.moveaxis(np.concatenate([kept, np.repeat(unknown[np.newaxis], num_new, axis=0), spare]), 0, axis)


def _check_vocabulary(old: Vocabulary, new: Vocabulary, workdir: str) -> None:
    if new.words[: len(old)] != old.words:
        raise ValueError(
            f"The shards' vocabulary ({len(new)} words) does not begin with the {len(old)} words of the run in "
            f"{workdir}, so its ids mean other words. Build the shards with "
            f"--vocabulary_file={workdir}/word_counts.txt, and --extend_vocabulary for new words."
        )


def _check_encoder(old: EncoderConfig, new: EncoderConfig, workdir: str) -> None:
    """What the decoder sees must mean what it meant; how it is trained may change."""
    names = ("backbone_name", "pooling", "resize")
    different = [
        f"encoder.{name.removesuffix('_name')} is {getattr(new, name)!r}, there {getattr(old, name)!r}"
        for name in names
        if getattr(new, name) != getattr(old, name)
    ]
    if different:
        raise ValueError(
            f"The run in {workdir} looks at photographs in another way: {'; '.join(different)}. Start from its "
            f"configuration: --config={workdir}/config.json."
        )
