"""Time per image of the batched search, beside the original's: heaps in Python, one step call per image and step.

Both search the same random decoder of Show and Tell's size from the same states, as cached features would give them: an
LSTM of 512 units over 12,000 words, beam 3, at most 20 words. One of its units counts words and ends captions, as those
of trained ones end; the others say something else of each image. "no end" is the same decoder without that unit's say:
no caption ends, so that the early exit saves nothing.

The limit is that of the products of all steps at the rate of one large product; on few rows they are bound by reading
33 MB of weights at each step instead, which "products alone" shows.

Run it as `python -m benchmarks.beam_search`; it takes about four minutes on two cores.
"""

import dataclasses
import heapq
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.parts import timing
from im2txt.decoding import beam_search
from im2txt.decoding.search_result import SearchResult
from im2txt.system import command_line

NUM_LSTM_UNITS = 512
VOCAB_SIZE = 12_000
BEAM_SIZE = 3
MAX_CAPTION_LENGTH = 20
START_ID = 1
END_ID = 2
ORIGINAL_IMAGES = 4  # at most this many images for the original: it takes one after the other anyway

State = tuple[tf.Tensor, tf.Tensor]
BestWords = Callable[[np.ndarray], list[tuple[int, float]]]
Sentence = tuple[float, tuple[int, ...], Any]  # log_prob, word_ids, state


@dataclasses.dataclass(frozen=True)
class BenchmarkFlags:
    """Flags of the benchmark."""

    rounds: int = 5
    """Timed runs of each variant, after one that is not."""
    images: int = 500
    """Images whose captions are compared."""


class RandomDecoder:
    """Embedding, LSTM and logits of random weights, large enough for next words to differ in probability."""

    def __init__(self, ends: bool = True, dtype: tf.DType = tf.float32) -> None:
        rng = np.random.default_rng(0)
        lstm_kernel = rng.normal(0.0, 0.1, [2 * NUM_LSTM_UNITS, 4, NUM_LSTM_UNITS])
        lstm_bias = np.zeros([4, NUM_LSTM_UNITS])
        lstm_bias[2] = 1.0  # of the forget gates, third as in the original
        logits_kernel = rng.normal(0.0, 0.4, [NUM_LSTM_UNITS, VOCAB_SIZE])
        logits_bias = np.zeros(VOCAB_SIZE)
        # Unit 0 hears nothing and adds the same at each word; its cell starts between -1.8 and -0.6.
        lstm_kernel[:, :, 0] = 0.0
        lstm_bias[:, 0] = [10.0, 0.12, 10.0, 10.0]
        logits_kernel[0] = 0.0
        logits_kernel[0, END_ID], logits_bias[END_ID] = (30.0, 8.0) if ends else (0.0, -1e3)
        self.embedding = tf.constant(rng.uniform(-1.0, 1.0, [VOCAB_SIZE, NUM_LSTM_UNITS]), dtype)
        self.lstm_kernel = tf.constant(lstm_kernel.reshape([2 * NUM_LSTM_UNITS, -1]), dtype)
        self.lstm_bias = tf.constant(lstm_bias.ravel(), tf.float32)
        self.logits_kernel = tf.constant(logits_kernel, dtype)
        self.logits_bias = tf.constant(logits_bias, tf.float32)

    def logits(self, word_ids: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """Logits float32 [N, V] of the words after `word_ids` [N], and the next state: two of [N, U]."""
        cell, hidden = state
        inputs = tf.concat([tf.gather(self.embedding, word_ids), tf.cast(hidden, self.embedding.dtype)], axis=1)
        gates = tf.cast(tf.matmul(inputs, self.lstm_kernel), tf.float32) + self.lstm_bias
        input_gate, new, forget_gate, output_gate = tf.split(gates, 4, axis=1)
        cell = cell * tf.sigmoid(forget_gate) + tf.tanh(new) * tf.sigmoid(input_gate)
        hidden = tf.tanh(cell) * tf.sigmoid(output_gate)
        logits = tf.matmul(tf.cast(hidden, self.logits_kernel.dtype), self.logits_kernel)
        return tf.cast(logits, tf.float32) + self.logits_bias, (cell, hidden)

    def log_probs(self, word_ids: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """The step function of the batched search."""
        logits, state = self.logits(word_ids, state)
        return tf.nn.log_softmax(logits), state

    def products(self, hidden: tf.Tensor) -> tf.Tensor:
        """The matrix products of a whole search on `hidden` [B*K, U], and nothing else of it."""
        for _ in tf.range(MAX_CAPTION_LENGTH - 1):
            gates = tf.matmul(tf.concat([hidden, hidden], axis=1), self.lstm_kernel)
            logits = tf.matmul(hidden, self.logits_kernel)
            hidden = gates[:, :NUM_LSTM_UNITS] + 1e-30 * logits[:1, :1]  # so that neither can be left out
        return hidden

    def search(self, jit_compile: bool = False) -> Callable[[tf.Tensor], SearchResult]:
        """The batched search from states [B, 2U], cell first."""

        @tf.function(jit_compile=jit_compile)
        def search(states: tf.Tensor) -> SearchResult:
            return beam_search.beam_search(
                self.log_probs,
                tuple(tf.split(states, 2, axis=1)),
                batch_size=states.shape[0],
                start_id=START_ID,
                end_id=END_ID,
                beam_size=BEAM_SIZE,
                max_caption_length=MAX_CAPTION_LENGTH,
            )

        return search

    def step(self) -> Callable[[np.ndarray, np.ndarray], tuple[tf.Tensor, tf.Tensor]]:
        """The original's step: word_ids [n] and states [n, 2U] to probabilities and states."""

        @tf.function(
            input_signature=[tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, 2 * NUM_LSTM_UNITS], tf.float32)]
        )
        def step(word_ids: tf.Tensor, states: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            logits, state = self.logits(word_ids, tuple(tf.split(states, 2, axis=1)))
            return tf.nn.softmax(logits), tf.concat(state, axis=1)

        return step


def initial_states(number: int) -> np.ndarray:
    """States float32 [number, 2U] after as many images, cell first."""
    rng = np.random.default_rng(1)
    states = rng.normal(0.0, 0.5, [number, 2 * NUM_LSTM_UNITS])
    states[:, 0] = rng.uniform(-1.8, -0.6, number)
    return states.astype(np.float32)


def best_by_list_sort(probs: np.ndarray) -> list[tuple[int, float]]:
    """The original's way: sort all words in Python."""
    words = list(enumerate(probs))
    words.sort(key=lambda word: -word[1])
    return words[:BEAM_SIZE]


def best_by_argsort(probs: np.ndarray) -> list[tuple[int, float]]:
    """A kinder way: sort them in NumPy."""
    return [(word, probs[word]) for word in np.argsort(probs)[-BEAM_SIZE:][::-1]]


def original_search(
    step: Callable[[np.ndarray, np.ndarray], tuple[tf.Tensor, tf.Tensor]],
    initial_state: np.ndarray,
    best_words: BestWords,
) -> list[Sentence]:
    """Captions of one image, best first; `step` maps word_ids [n] and states [n, 2U] to probabilities and states."""

    def push(heap: list[Sentence], sentence: Sentence) -> None:
        (heapq.heappush if len(heap) < BEAM_SIZE else heapq.heappushpop)(heap, sentence)

    partials: list[Sentence] = [(0.0, (START_ID,), initial_state)]
    complete: list[Sentence] = []
    for _ in range(MAX_CAPTION_LENGTH - 1):
        parents, partials = partials, []
        words = np.array([ids[-1] for _, ids, _ in parents])
        probs, states = (value.numpy() for value in step(words, np.stack([state for *_, state in parents])))
        for row, (log_prob, ids, _) in enumerate(parents):
            for word, prob in best_words(probs[row]):
                if prob >= 1e-12:
                    extended = (log_prob + math.log(prob), (*ids, int(word)), states[row])
                    push(complete if word == END_ID else partials, extended)
        if not partials:
            break
    return sorted(complete or partials, reverse=True)


def compare_times(batch_size: int, rounds: int) -> None:
    """Prints a table for one batch size."""
    decoder, endless = RandomDecoder(), RandomDecoder(ends=False)
    states = initial_states(batch_size)
    batch = tf.constant(states)
    hidden = tf.constant(np.repeat(states[:, NUM_LSTM_UNITS:], BEAM_SIZE, axis=0))

    def originals(of: RandomDecoder, best_words: BestWords) -> Callable[[], object]:
        step = of.step()
        return lambda: [original_search(step, state, best_words) for state in states[:ORIGINAL_IMAGES]]

    def ours(search: Callable[[tf.Tensor], SearchResult]) -> Callable[[], object]:
        return lambda: search(batch).word_ids.numpy()

    products = tf.function(decoder.products)
    variants = {
        "original": originals(decoder, best_by_list_sort),
        "original, NumPy sort": originals(decoder, best_by_argsort),
        "ours": ours(decoder.search()),
        "ours, XLA": ours(decoder.search(jit_compile=True)),
        "ours, bfloat16": ours(RandomDecoder(dtype=tf.bfloat16).search()),
        "original, no end": originals(endless, best_by_list_sort),
        "ours, no end": ours(endless.search()),
        "products alone": lambda: products(hidden).numpy(),
    }
    timings = timing.interleave(variants, rounds)
    images = {name: min(batch_size, ORIGINAL_IMAGES if "original" in name else batch_size) for name in variants}
    per_image = {name: [secs / images[name] for secs in samples] for name, samples in timings.items()}
    products_per_step = 2 * NUM_LSTM_UNITS * 4 * NUM_LSTM_UNITS + NUM_LSTM_UNITS * VOCAB_SIZE
    flops = 2 * products_per_step * BEAM_SIZE * (MAX_CAPTION_LENGTH - 1)
    peak = timing.measure_matmul_peak()
    title = f"Beam search: batch {batch_size}, beam {BEAM_SIZE}, {MAX_CAPTION_LENGTH} of {VOCAB_SIZE} words"
    timing.print_table(title, per_image, baseline="original", item_name="image", limit_secs=flops / peak)
    print(f"Limit: {flops / 1e9:.2f} GFLOP at the {peak / 1e9:.0f} GFLOP/s of one large float32 product.")


def compare_captions(number: int) -> None:
    """Prints on how many images the searches agree, in the best caption and in all three."""
    decoder = RandomDecoder()
    states = initial_states(number)
    step = decoder.step()
    expected = [[ids for _, ids, _ in original_search(step, state, best_by_argsort)] for state in states]
    lengths = [len(captions[0]) for captions in expected]
    distinct = len({captions[0] for captions in expected})
    print(f"\n{number} images: {distinct} different captions of {min(lengths)} to {max(lengths)} words,", end=" ")
    print(f"{sum(lengths) / number:.1f} on average with start and end.")
    for name, of in {"float32": decoder, "bfloat16": RandomDecoder(dtype=tf.bfloat16)}.items():
        result = of.search()(tf.constant(states))
        ids, counts = result.word_ids.numpy(), result.lengths.numpy()
        found = [
            [tuple(ids[b, k, : counts[b, k]].tolist()) for k in range(BEAM_SIZE) if counts[b, k]] for b in range(number)
        ]
        best = sum(ours[0] == theirs[0] for ours, theirs in zip(found, expected, strict=True))
        all_three = sum(ours == theirs for ours, theirs in zip(found, expected, strict=True))
        print(f"{name}: the original's best caption for {best} of {number}, all of its captions for {all_three}.")


def main() -> None:
    """Compares both searches on one photograph and on 32, and what they say of many."""
    flags = command_line.parse(BenchmarkFlags, __doc__ or "")
    for batch_size in (1, 32):
        compare_times(batch_size, flags.rounds)
    compare_captions(flags.images)


if __name__ == "__main__":
    command_line.run(main)
