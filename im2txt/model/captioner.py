"""The captioner: an encoder and a decoder, and what training and decoding ask of the pair."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from im2txt.model.decoders.caption_decoder import AttendingDecoder, CaptionDecoder, State
from im2txt.model.image_encoder import ImageEncoder
from im2txt.model.losses import attention_penalties, word_losses

StepFn = Callable[[tf.Tensor, State], tuple[tf.Tensor, State]]


class Captioner:
    """Composes an encoder and a decoder.

    Batches are dicts: `images` float32 [I, S, S, 3], or `features` float32 [I, F] or [I, P, C]; `input_ids` and
    `target_ids` int32 [B, T]; `mask` bool [B, T]. B is a multiple of I: the captions of one photograph stand in
    consecutive rows and share its pass through the encoder.

    Attributes:
        encoder: None where batches hold features.
        decoder: any `CaptionDecoder`.
    """

    def __init__(self, encoder: ImageEncoder | None, decoder: CaptionDecoder):
        self.encoder = encoder
        self.decoder = decoder

    @property
    def variables(self) -> dict[str, tf.Variable]:
        """The weights a checkpoint of training holds: the decoder's, and the encoder's if it is trained."""
        named = {f"decoder/{name}": v for name, v in self.decoder.variables.items()}
        if self.encoder is not None and self.encoder.trainable_variables:
            named |= {f"encoder/{name}": v for name, v in self.encoder.variables.items()}
        return named

    @property
    def trainable_variables(self) -> dict[str, tf.Variable]:
        """The weights that gradients change, by the names of `variables`."""
        if self.encoder is None:
            return self.variables
        frozen = {v.ref() for v in self.encoder.variables.values()} - {
            v.ref() for v in self.encoder.trainable_variables
        }
        return {name: v for name, v in self.variables.items() if v.ref() not in frozen}

    @property
    def vocab_size(self) -> int:
        """Words whose probability a step gives; the last may be to spare, beyond the vocabulary."""
        return self.decoder.vocab_size

    def features(self, batch: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Returns float32 [I, F] or [I, P, C]: the batch's features, or the encoder's of its images.

        Raises:
            ValueError: if the batch holds images and there is no encoder.
        """
        if "features" in batch:
            return batch["features"]
        if self.encoder is None:
            raise ValueError("The batch holds images, and this captioner was built without an encoder.")
        return self.encoder(batch["images"], training)

    def word_losses(
        self, batch: dict[str, tf.Tensor], dropout_seed: tf.Tensor | None = None, label_smoothing: float = 0.0
    ) -> tf.Tensor:
        """Cross entropy of the batch's real words; only they pass through the output layer.

        What training adds for where an attending decoder looks is spread evenly over each caption's words.

        Args:
            batch: see the class.
            dropout_seed: int64 [2] in training, None otherwise.
            label_smoothing: see `losses.word_losses`.

        Returns:
            float32 [M], nats, M being the number of True in the mask.
        """
        features = self.features(batch, training=dropout_seed is not None)
        penalties = None
        if isinstance(self.decoder, AttendingDecoder) and self.decoder.attention_penalty and dropout_seed is not None:
            outputs, attention = self.decoder.attend(features, batch["input_ids"], dropout_seed)
            penalties = self.decoder.attention_penalty * attention_penalties(attention, batch["mask"])  # [B]
        else:
            outputs = self.decoder.unroll(features, batch["input_ids"], dropout_seed)  # [B, T, U]
        real = tf.where(tf.reshape(batch["mask"], [-1]))[:, 0]  # [M]
        outputs = tf.gather(tf.reshape(outputs, [-1, outputs.shape[-1]]), real)  # [M, U]
        target_ids = tf.gather(tf.reshape(batch["target_ids"], [-1]), real)
        losses = word_losses(self.decoder.logits(outputs), target_ids, label_smoothing)
        if penalties is not None:
            per_word = penalties / tf.reduce_sum(tf.cast(batch["mask"], tf.float32), axis=1)
            losses += tf.gather(per_word, real // tf.shape(batch["mask"], tf.int64)[1])
        return losses

    def attention_maps(self, features: tf.Tensor, word_ids: tf.Tensor) -> tf.Tensor | None:
        """Where the decoder looks while it says captions.

        Args:
            features: float32 [I, P, C].
            word_ids: int32 [B, L], `<S>` first.

        Returns:
            float32 [B, L - 1, P], of each word but `<S>` how much of the attention before it was on each place; None if
            the decoder does not attend to places.
        """
        if not isinstance(self.decoder, AttendingDecoder):
            return None
        return self.decoder.attend(features, word_ids[:, :-1])[1]

    def start(self, batch: dict[str, tf.Tensor], num_steps: int) -> tuple[State, StepFn]:
        """Looks at photographs, to caption them.

        Args:
            batch: needs only `images` or `features`.
            num_steps: most words that will be fed to a caption.

        Returns:
            The state before `<S>` of each photograph's caption, and the step function of a search: (word_ids int32 [B],
            state) to (float32 log probabilities [B, V], state). It holds what is the same at every step, so that a
            search need not carry it.

        Raises:
            ValueError: as `features`.
        """
        state, fixed = self.decoder.start(self.features(batch), num_steps)

        def step(word_ids: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
            logits, state = self.decoder.step(word_ids, state, fixed)
            return tf.nn.log_softmax(logits), state

        return state, step
