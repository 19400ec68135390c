"""The original im2txt's inference graph, put together again on `tf.compat.v1`, for tests of checkpoints that it wrote.

Written from the published names, shapes and equations alone; shares nothing with the project's own model.
"""

from __future__ import annotations

import heapq
import math

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1

LSTM_NAMES = {
    "0.x": ("BasicLSTMCell/Linear/Matrix", "BasicLSTMCell/Linear/Bias"),
    "1.0": ("basic_lstm_cell/weights", "basic_lstm_cell/biases"),
    "1.2": ("basic_lstm_cell/kernel", "basic_lstm_cell/bias"),
}
Sentence = tuple[tuple[int, ...], float, bool]  # word ids, log probability, ends with </S>


def _uniform(scale):
    return v1.random_uniform_initializer(-scale, scale)


def convolve(x, name, channels, kernel, stride=1, padding="SAME"):
    """slim.conv2d with its batch norm (no gamma, epsilon 0.001) and ReLU; moving statistics are random too."""
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    inputs = int(x.shape[3])
    with v1.variable_scope(name):
        scale = math.sqrt(2 / (height * width * inputs))
        weights = v1.get_variable(
            "weights", [height, width, inputs, channels], initializer=v1.random_normal_initializer(0, scale)
        )
        with v1.variable_scope("BatchNorm"):
            beta = v1.get_variable("beta", [channels], initializer=_uniform(0.2))
            mean = v1.get_variable("moving_mean", [channels], initializer=_uniform(0.2), trainable=False)
            variance = v1.get_variable(
                "moving_variance", [channels], initializer=v1.random_uniform_initializer(0.5, 1.5), trainable=False
            )
    x = tf.nn.conv2d(x, weights, [1, stride, stride, 1], padding)
    return tf.nn.relu((x - mean) / tf.sqrt(variance + 0.001) + beta)


def _average(x):
    return tf.nn.avg_pool2d(x, 3, 1, "SAME")


def _largest(x):
    return tf.nn.max_pool2d(x, 3, 2, "VALID")


def _chain(x, branch, *layers):
    """A branch of convolutions one after the other: (name, channels, kernel[, stride, padding])."""
    with v1.variable_scope(f"Branch_{branch}"):
        for name, *how in layers:
            x = convolve(x, name, *how)
    return x


def _block_35(x, block, pool_channels, second=("Conv2d_0a_1x1", "Conv2d_0b_5x5")):
    with v1.variable_scope(block):
        return tf.concat(
            [
                _chain(x, 0, ("Conv2d_0a_1x1", 64, 1)),
                _chain(x, 1, (second[0], 48, 1), (second[1], 64, 5)),
                _chain(x, 2, ("Conv2d_0a_1x1", 64, 1), ("Conv2d_0b_3x3", 96, 3), ("Conv2d_0c_3x3", 96, 3)),
                _chain(_average(x), 3, ("Conv2d_0b_1x1", pool_channels, 1)),
            ],
            3,
        )


def _block_17(x, block, n):
    with v1.variable_scope(block):
        return tf.concat(
            [
                _chain(x, 0, ("Conv2d_0a_1x1", 192, 1)),
                _chain(x, 1, ("Conv2d_0a_1x1", n, 1), ("Conv2d_0b_1x7", n, (1, 7)), ("Conv2d_0c_7x1", 192, (7, 1))),
                _chain(
                    x,
                    2,
                    ("Conv2d_0a_1x1", n, 1),
                    ("Conv2d_0b_7x1", n, (7, 1)),
                    ("Conv2d_0c_1x7", n, (1, 7)),
                    ("Conv2d_0d_7x1", n, (7, 1)),
                    ("Conv2d_0e_1x7", 192, (1, 7)),
                ),
                _chain(_average(x), 3, ("Conv2d_0b_1x1", 192, 1)),
            ],
            3,
        )


def _block_8(x, block, second_3x1):
    with v1.variable_scope(block):
        first = _chain(x, 0, ("Conv2d_0a_1x1", 320, 1))
        with v1.variable_scope("Branch_1"):
            stem = convolve(x, "Conv2d_0a_1x1", 384, 1)
            second = [convolve(stem, "Conv2d_0b_1x3", 384, (1, 3)), convolve(stem, second_3x1, 384, (3, 1))]
        with v1.variable_scope("Branch_2"):
            stem = convolve(convolve(x, "Conv2d_0a_1x1", 448, 1), "Conv2d_0b_3x3", 384, 3)
            third = [convolve(stem, "Conv2d_0c_1x3", 384, (1, 3)), convolve(stem, "Conv2d_0d_3x1", 384, (3, 1))]
        return tf.concat([first, *second, *third, _chain(_average(x), 3, ("Conv2d_0b_1x1", 192, 1))], 3)


def inception_v3(images):
    """[N, 299, 299, 3] in [-1, 1] to the map [N, 8, 8, 2048] that slim calls Mixed_7c."""
    with v1.variable_scope("InceptionV3"):
        x = convolve(images, "Conv2d_1a_3x3", 32, 3, 2, "VALID")
        x = convolve(x, "Conv2d_2a_3x3", 32, 3, 1, "VALID")
        x = _largest(convolve(x, "Conv2d_2b_3x3", 64, 3))
        x = convolve(x, "Conv2d_3b_1x1", 80, 1, 1, "VALID")
        x = _largest(convolve(x, "Conv2d_4a_3x3", 192, 3, 1, "VALID"))
        x = _block_35(x, "Mixed_5b", 32)
        x = _block_35(x, "Mixed_5c", 64, ("Conv2d_0b_1x1", "Conv_1_0c_5x5"))
        x = _block_35(x, "Mixed_5d", 64)
        with v1.variable_scope("Mixed_6a"):
            first = _chain(x, 0, ("Conv2d_1a_1x1", 384, 3, 2, "VALID"))
            second = _chain(
                x, 1, ("Conv2d_0a_1x1", 64, 1), ("Conv2d_0b_3x3", 96, 3), ("Conv2d_1a_1x1", 96, 3, 2, "VALID")
            )
            x = tf.concat([first, second, _largest(x)], 3)
        for block, channels in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
            x = _block_17(x, block, channels)
        with v1.variable_scope("Mixed_7a"):
            first = _chain(x, 0, ("Conv2d_0a_1x1", 192, 1), ("Conv2d_1a_3x3", 320, 3, 2, "VALID"))
            second = _chain(
                x,
                1,
                ("Conv2d_0a_1x1", 192, 1),
                ("Conv2d_0b_1x7", 192, (1, 7)),
                ("Conv2d_0c_7x1", 192, (7, 1)),
                ("Conv2d_1a_3x3", 192, 3, 2, "VALID"),
            )
            x = tf.concat([first, second, _largest(x)], 3)
        return _block_8(_block_8(x, "Mixed_7b", "Conv2d_0b_3x1"), "Mixed_7c", "Conv2d_0c_3x1")


class OriginalIm2txt:
    """The graph with random weights in a session of its own.

    The recurrent weights are large and those of the output peaked, so that what is said depends long on the picture.
    """

    def __init__(self, vocab_size, embedding_size, num_lstm_units, end_id, lstm_names="1.2", seed=1):
        self.end_id = end_id
        self._graph = tf.Graph()
        with self._graph.as_default():
            v1.set_random_seed(seed)
            self._build(vocab_size, embedding_size, num_lstm_units, LSTM_NAMES[lstm_names])
            self._session = v1.Session()
            self._session.run(v1.global_variables_initializer())

    def _build(self, vocab_size, embedding_size, units, lstm_names):
        self.encoded_image = v1.placeholder(tf.string, [])
        image = tf.image.convert_image_dtype(tf.io.decode_jpeg(self.encoded_image, channels=3), tf.float32)
        image = tf.squeeze(v1.image.resize_bilinear(image[None], [346, 346], align_corners=False), 0)
        self.image = tf.image.resize_with_crop_or_pad(image, 299, 299)
        self.images = v1.placeholder_with_default(self.image[None], [None, 299, 299, 3])
        maps = inception_v3((self.images - 0.5) * 2.0)
        self.features = v1.placeholder_with_default(
            tf.squeeze(tf.nn.avg_pool2d(maps, 8, 1, "VALID"), [1, 2]), [None, 2048]
        )
        v1.get_variable("global_step", [], tf.int32, v1.constant_initializer(2_000_000), trainable=False)
        with v1.variable_scope("image_embedding"):
            image_weights = v1.get_variable("weights", [2048, embedding_size], initializer=_uniform(0.08))
        with v1.variable_scope("seq_embedding"):
            table = v1.get_variable("map", [vocab_size, embedding_size], initializer=_uniform(1.0))
        with v1.variable_scope("lstm"):
            kernel = v1.get_variable(
                lstm_names[0], [embedding_size + units, 4 * units], initializer=_uniform(3 / math.sqrt(units))
            )
            bias = v1.get_variable(lstm_names[1], [4 * units], initializer=_uniform(0.5))
        with v1.variable_scope("logits"):
            weights = v1.get_variable("weights", [units, vocab_size], initializer=_uniform(12 / math.sqrt(units)))
            biases = v1.get_variable("biases", [vocab_size], initializer=_uniform(0.5))

        def step(x, state):
            c, h = tf.split(state, 2, 1)
            i, j, f, o = tf.split(tf.matmul(tf.concat([x, h], 1), kernel) + bias, 4, 1)
            c = c * tf.sigmoid(f + 1.0) + tf.sigmoid(i) * tf.tanh(j)
            return tf.concat([c, tf.tanh(c) * tf.sigmoid(o)], 1)

        self.image_embedding = tf.matmul(self.features, image_weights)
        self.initial_state = step(self.image_embedding, tf.zeros([tf.shape(self.features)[0], 2 * units]))
        self.input_feed = v1.placeholder(tf.int64, [None])
        self.state_feed = v1.placeholder(tf.float32, [None, 2 * units])
        self.state = step(tf.nn.embedding_lookup(table, self.input_feed), self.state_feed)
        self.softmax = tf.nn.softmax(tf.matmul(self.state[:, units:], weights) + biases)

    def run(self, fetches, feeds):
        return self._session.run(fetches, feeds)

    def vary(self, features: np.ndarray, end_bias: float) -> None:
        """Lets captions vary: removes from the image embedding what features [N, 2048] share; rarely ends them."""
        shared = features.mean(0) / np.linalg.norm(features.mean(0))
        values = self.variables()
        weights = values["image_embedding/weights"]
        weights = weights - np.outer(shared, shared @ weights)
        self.assign("image_embedding/weights", weights / (features @ weights).std())
        biases = values["logits/biases"]
        biases[self.end_id] += end_bias
        self.assign("logits/biases", biases)

    def variables(self):
        """All values by name."""
        with self._graph.as_default():
            return self._session.run({v.op.name: v for v in v1.global_variables()})

    def assign(self, name, value):
        with self._graph.as_default():
            (variable,) = (v for v in v1.global_variables() if v.op.name == name)
            variable.load(value, self._session)

    def save(self, path, version=v1.train.SaverDef.V2):
        """Saves as TensorFlow 1 does; returns the checkpoint's path."""
        with self._graph.as_default():
            saver = v1.train.Saver(write_version=version)
            return saver.save(self._session, str(path), write_meta_graph=False)

    def restore(self, path):
        with self._graph.as_default():
            v1.train.Saver().restore(self._session, str(path))

    def search(self, initial_state: np.ndarray, start_id: int, beam_size: int = 3) -> list[Sentence]:
        """The original's beam search of one image, with a session's run per step: initial_state [1, 2U]."""
        partial = [(0.0, (start_id,), initial_state[0])]
        complete: list = []
        for _ in range(19):
            probs, states = self.run(
                [self.softmax, self.state],
                {
                    self.input_feed: [words[-1] for _, words, _ in partial],
                    self.state_feed: np.stack([state for _, _, state in partial]),
                },
            )
            grown: list = []
            for (log_prob, words, _), row, state in zip(partial, probs, states, strict=True):
                for word in np.argsort(row)[-beam_size:][::-1]:
                    if row[word] < 1e-12:
                        continue
                    sentence = (log_prob + math.log(row[word]), (*words, int(word)), state)
                    pool = complete if word == self.end_id else grown
                    push = heapq.heappush if len(pool) < beam_size else heapq.heappushpop
                    push(pool, _Entry(sentence))
            partial = [entry.sentence for entry in grown]
            if not partial:
                break
        best = [entry.sentence for entry in complete] or partial
        best.sort(key=lambda sentence: -sentence[0])
        return [(words, log_prob, bool(complete)) for log_prob, words, _ in best]


class _Entry:
    """Ordered by log probability alone."""

    def __init__(self, sentence: tuple):
        self.sentence = sentence

    def __lt__(self, other: _Entry) -> bool:
        return self.sentence[0] < other.sentence[0]
