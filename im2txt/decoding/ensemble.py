"""Several models of one vocabulary as one step function."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from im2txt.decoding.beam_search import State, StepFn
from im2txt.model.captioner import Captioner


class EnsembleCaptioner:
    """Several captioners that look at each photograph and speak as one."""

    def __init__(self, captioners: Sequence[Captioner]):
        """Takes one or more captioners of one vocabulary; their encoders and decoders may differ.

        Raises:
            ValueError: if one has more rows to spare (`decoder.vocab_size`) than another.
        """
        sizes = sorted({captioner.vocab_size for captioner in captioners})
        if len(sizes) > 1:
            raise ValueError(
                f"Runs with tables of {' and '.join(map(str, sizes))} words cannot speak as one; train them with one "
                "decoder.vocab_size."
            )
        self.vocab_size = sizes[0]
        self._captioners = captioners

    def start(self, batch: dict[str, Any], num_steps: int) -> tuple[State, StepFn]:
        """Starts each captioner as `Captioner.start`; `batch["images"]` is a tuple with the images of each."""
        pairs = zip(self._captioners, batch["images"], strict=True)
        started = [captioner.start({"images": images}, num_steps) for captioner, images in pairs]
        return tuple(state for state, _ in started), ensemble_step([step for _, step in started])


def ensemble_step(step_fns: Sequence[StepFn]) -> StepFn:
    """Returns a step function whose probabilities are the mean of the given ones.

    Its state is a tuple with the state of each, in order, so that their encoders and decoders may differ.

    Args:
        step_fns: at least one, over the same vocabulary.

    Raises:
        ValueError: if there is none.

    Source: Vinyals et al., arXiv 1609.06647, section 4.3.
    """
    if not step_fns:
        raise ValueError("An ensemble needs at least one step function; 0 were given.")

    def step(word_ids: tf.Tensor, states: tuple[Any, ...]) -> tuple[tf.Tensor, tuple[Any, ...]]:
        results = [step_fn(word_ids, state) for step_fn, state in zip(step_fns, states, strict=True)]
        log_probs = tf.stack([log_probs for log_probs, _ in results])  # [N, B, V]
        mean = tf.reduce_logsumexp(log_probs, axis=0) - tf.math.log(float(len(results)))
        # Rounding must not lift a certain word above probability 1: the search's early exit rests on that.
        return tf.minimum(mean, 0.0), tuple(state for _, state in results)

    return step
