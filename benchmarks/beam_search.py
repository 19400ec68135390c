"""Time per image of the batched search, beside the original's: heaps in Python, one step call per image and step.

Both search the same random decoder: one LSTM of 512 units over 12,000 words, beam 3, captions of 20 words. None of its
captions ends earlier, so the early exit saves nothing here. The limit is that of the products of all 19 steps at the
rate of one large product; on few rows they are bound by reading the weights instead, which "products alone" shows.

Run it as `python -m benchmarks.beam_search`; it takes about a minute on two cores.
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


class RandomDecoder:
    """Embedding, LSTM and logits of random weights, large enough for next words to differ in probability."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.embedding = tf.constant(rng.uniform(-1.0, 1.0, [VOCAB_SIZE, NUM_LSTM_UNITS]), tf.float32)
        self.lstm_kernel = tf.constant(rng.normal(0.0, 0.1, [2 * NUM_LSTM_UNITS, 4 * NUM_LSTM_UNITS]), tf.float32)
        self.logits_kernel = tf.constant(rng.normal(0.0, 0.4, [NUM_LSTM_UNITS, VOCAB_SIZE]), tf.float32)
        self.logits_bias = tf.zeros([VOCAB_SIZE])

    def logits(self, word_ids: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """Logits [N, V] of the words after `word_ids` [N], and the next state: two of [N, U]."""
        cell, hidden = state
        inputs = tf.concat([tf.gather(self.embedding, word_ids), hidden], axis=1)
        input_gate, new, forget_gate, output_gate = tf.split(tf.matmul(inputs, self.lstm_kernel), 4, axis=1)
        cell = cell * tf.sigmoid(forget_gate + 1.0) + tf.tanh(new) * tf.sigmoid(input_gate)
        hidden = tf.tanh(cell) * tf.sigmoid(output_gate)
        return tf.matmul(hidden, self.logits_kernel) + self.logits_bias, (cell, hidden)

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


def compare(batch_size: int, rounds: int) -> None:
    """Prints a table for one batch size, and how many captions both searches agree on."""
    decoder = RandomDecoder()
    states = np.random.default_rng(1).normal(0.0, 0.5, [batch_size, 2 * NUM_LSTM_UNITS]).astype(np.float32)
    batch = tf.constant(states)
    hidden = tf.constant(np.repeat(states[:, NUM_LSTM_UNITS:], BEAM_SIZE, axis=0))

    def search(states: tf.Tensor) -> SearchResult:
        return beam_search.beam_search(
            decoder.log_probs,
            tuple(tf.split(states, 2, axis=1)),
            batch_size=batch_size,
            start_id=START_ID,
            end_id=END_ID,
            beam_size=BEAM_SIZE,
            max_caption_length=MAX_CAPTION_LENGTH,
        )

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, 2 * NUM_LSTM_UNITS], tf.float32)]
    )
    def step(word_ids: tf.Tensor, states: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logits, state = decoder.logits(word_ids, tuple(tf.split(states, 2, axis=1)))
        return tf.nn.softmax(logits), tf.concat(state, axis=1)

    def originals(best_words: BestWords) -> list[tuple[int, ...]]:
        return [original_search(step, state, best_words)[0][1] for state in states[:ORIGINAL_IMAGES]]

    ours, compiled = tf.function(search), tf.function(search, jit_compile=True)
    products = tf.function(decoder.products)
    variants = {
        "original": lambda: originals(best_by_list_sort),
        "original, NumPy sort": lambda: originals(best_by_argsort),
        "ours": lambda: ours(batch).word_ids.numpy(),
        "ours, XLA": lambda: compiled(batch).word_ids.numpy(),
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
    expected = originals(best_by_list_sort)
    agreeing = [tuple(ids[0]) == caption for ids, caption in zip(variants["ours"](), expected, strict=False)]
    print(f"Limit: {flops / 1e9:.2f} GFLOP at the {peak / 1e9:.0f} GFLOP/s of one large float32 product.")
    print(f"Same best caption from both: {sum(agreeing)} of {len(agreeing)}.")


def main() -> None:
    """Compares both searches on one photograph and on 32."""
    flags = command_line.parse(BenchmarkFlags, __doc__ or "")
    for batch_size in (1, 32):
        compare(batch_size, flags.rounds)


if __name__ == "__main__":
    command_line.run(main)
