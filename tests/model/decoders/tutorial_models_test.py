"""The tutorials' models beside themselves in Keras, trained as there on one pair of prefix and next word at a time."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny_decoders import FEATURES, IMAGES, V, by_steps, tiny_decoder, tiny_inputs

from im2txt.configuration import MergeConfig
from im2txt.model.captioner import Captioner
from im2txt.model.decoders.merge import MergeDecoder

LONGEST = 6
# Word 0 is padding in the tutorials, so that no caption holds it here; two captions of each of two photographs.
CAPTIONS = [[1, 3, 4, 5, 2], [1, 6, 2], [1, 7, 8, 2], [1, 9, 10, 11, 12, 2]]


def pairs():
    """Each caption n ids long as n - 1 examples: photograph, pre-padded words so far [P, LONGEST], next word [P]."""
    examples = [
        (row // 2, [0] * (LONGEST - end) + caption[:end], caption[end])
        for row, caption in enumerate(CAPTIONS)
        for end in range(1, len(caption))
    ]
    return [np.array(column) for column in zip(*examples, strict=True)]


def captions_batch(features):
    """The same captions, as training has them."""
    width = max(map(len, CAPTIONS)) - 1
    padded = np.array([ids + [0] * (width + 1 - len(ids)) for ids in CAPTIONS], np.int32)
    return {
        "features": features,
        "input_ids": tf.constant(padded[:, :-1]),
        "target_ids": tf.constant(padded[:, 1:]),
        "mask": tf.constant(padded[:, 1:] != 0),
    }


def dense(w, name, activation="relu"):
    layer = keras.layers.Dense(w[f"{name}/kernel"].shape[1], activation)
    layer.build((None, w[f"{name}/kernel"].shape[0]))
    layer.set_weights([w[f"{name}/kernel"], w[f"{name}/bias"]])
    return layer


def lstm(w, name, return_sequences=False):
    units = w[f"{name}/recurrent_kernel"].shape[0]
    layer = keras.layers.LSTM(units, return_sequences=return_sequences)
    layer.build((None, None, w[f"{name}/kernel"].shape[0]))
    layer.set_weights([w[f"{name}/{part}"] for part in ("kernel", "recurrent_kernel", "bias")])
    return layer


def keras_merge(w):
    features, words = keras.Input([FEATURES]), keras.Input([LONGEST], dtype="int32")
    read = keras.layers.Embedding(V, 8, mask_zero=True, weights=[w["word_embedding"]])(words)
    both = keras.layers.add([dense(w, "image")(features), lstm(w, "lstm")(read)])
    return keras.Model([features, words], dense(w, "logits", "softmax")(dense(w, "hidden")(both)))


def keras_word_by_word(w):
    features, words = keras.Input([FEATURES]), keras.Input([LONGEST], dtype="int32")
    image = keras.layers.RepeatVector(LONGEST)(dense(w, "image")(features))
    read = keras.layers.Embedding(V, 8, mask_zero=True, weights=[w["word_embedding"]])(words)
    read = lstm(w, "language", return_sequences=True)(read)
    read = keras.layers.TimeDistributed(dense(w, "words"))(read)
    # Keras 2 masked what is masked in either input of a concatenation; Keras 3 what is masked in both.
    joined = lstm(w, "lstm")(keras.layers.concatenate([image, read]), mask=keras.ops.not_equal(words, 0))
    return keras.Model([features, words], dense(w, "logits", "softmax")(dense(w, "hidden")(joined)))


@pytest.mark.parametrize(("name", "in_keras"), [("merge", keras_merge), ("word_by_word", keras_word_by_word)])
def test_one_pass_over_captions_is_the_objective_of_the_expanded_pairs(name, in_keras):
    decoder = tiny_decoder(name)
    features, _ = tiny_inputs(name)
    image_rows, prefixes, next_words = pairs()
    model = in_keras({key: variable.numpy() for key, variable in decoder.variables.items()})
    table = model.get_layer(index=[type(layer).__name__ for layer in model.layers].index("Embedding")).embeddings
    with tf.GradientTape() as tape:
        probabilities = model([tf.gather(features, image_rows), tf.constant(prefixes)])
        theirs = keras.losses.sparse_categorical_crossentropy(next_words, probabilities)
        mean = tf.reduce_mean(theirs)
    expected = tape.gradient(mean, table.value)
    captioner = Captioner(None, decoder)
    with tf.GradientTape() as tape:
        ours = captioner.word_losses(captions_batch(features))
        mean = tf.reduce_mean(ours)
    actual = tape.gradient(mean, decoder.variables["word_embedding"])
    assert len(next_words) == sum(len(caption) - 1 for caption in CAPTIONS)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(tf.convert_to_tensor(actual), tf.convert_to_tensor(expected), rtol=1e-4, atol=1e-6)


def test_the_merge_model_has_the_tutorial_s_parameters():
    variables = MergeDecoder(MergeConfig(), 7579, (4096,), 0).variables
    sizes = {name: int(np.prod(variable.shape)) for name, variable in variables.items()}
    assert sum(sizes.values()) == 5_527_963
    assert sizes["image/kernel"] + sizes["image/bias"] == 1_048_832
    assert sizes["word_embedding"] == 1_940_224
    assert sum(sizes[f"lstm/{part}"] for part in ("kernel", "recurrent_kernel", "bias")) == 525_312
    assert sizes["hidden/kernel"] + sizes["hidden/bias"] == 65_792
    assert sizes["logits/kernel"] + sizes["logits/bias"] == 1_947_803


def test_weights_start_as_keras_starts_them():
    weights = {name: v.numpy() for name, v in MergeDecoder(MergeConfig(), 50, (40,), 0).variables.items()}
    kernel = weights["image/kernel"]
    limit = np.sqrt(6 / sum(kernel.shape))
    assert 0.98 * limit < np.abs(kernel).max() <= limit
    recurrent = weights["lstm/recurrent_kernel"]
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(256), atol=1e-5)
    np.testing.assert_array_equal(weights["lstm/bias"], np.repeat([0, 1, 0, 0], 256))
    assert 0.049 < np.abs(weights["word_embedding"]).max() <= 0.05


def test_the_whole_description_follows_from_the_photograph_alone():
    decoder = tiny_decoder("whole_description")
    features, input_ids = tiny_inputs("whole_description")
    logits = decoder.logits(decoder.unroll(features, input_ids))
    np.testing.assert_array_equal(logits, decoder.logits(decoder.unroll(features, tf.zeros_like(input_ids))))
    np.testing.assert_allclose(by_steps(decoder, features, tf.zeros_like(input_ids)), logits, rtol=1e-4, atol=1e-5)
    assert np.abs(logits[0, 0] - logits[0, 1]).max() > 1e-3  # Places are told apart.
    w = {key: variable.numpy() for key, variable in decoder.variables.items()}
    repeated = keras.layers.RepeatVector(input_ids.shape[1])(dense(w, "image")(features))
    theirs = dense(w, "logits", None)(lstm(w, "lstm", return_sequences=True)(repeated))
    np.testing.assert_allclose(logits[:: len(input_ids) // IMAGES], theirs, rtol=1e-4, atol=1e-5)
