"""Show, Attend and Tell's equations in NumPy, and what is paid for looking."""

import numpy as np
import tensorflow as tf
from tiny_decoders import CAPTIONS_PER_IMAGE, PLACES, tiny_decoder, tiny_inputs

from im2txt.model.captioner import Captioner
from im2txt.model.losses import attention_penalties


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numpy_run(decoder, features, input_ids):
    """Logits [B, T, V] and attention [B, T, P], place by place."""
    w = {name: variable.numpy().astype(np.float64) for name, variable in decoder.variables.items()}
    all_logits, all_attention = [], []
    for row, ids in enumerate(input_ids.numpy()):
        places = features.numpy()[row // CAPTIONS_PER_IMAGE]
        mean = np.mean(places, axis=0)
        h = np.tanh(mean @ w["initial_h/kernel"] + w["initial_h/bias"])
        c = np.tanh(mean @ w["initial_c/kernel"] + w["initial_c/bias"])
        logits, attention = [], []
        for word_id in ids:
            y = w["word_embedding"][word_id]
            compared = [p @ w["keys/kernel"] + w["keys/bias"] + h @ w["query/kernel"] for p in places]
            energies = np.array([float((np.tanh(x) @ w["energy/kernel"])[0]) for x in compared])
            alpha = np.exp(energies) / np.exp(energies).sum()
            beta = sigmoid(h @ w["gate/kernel"] + w["gate/bias"])
            z = beta * sum(a * p for a, p in zip(alpha, places, strict=True))
            kernel = np.concatenate([w["lstm/kernel"], w["lstm_z/kernel"], w["lstm/recurrent_kernel"]])
            i, f, g, o = np.split(np.concatenate([y, z, h]) @ kernel + w["lstm/bias"], 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            said = y + h @ w["deep_h/kernel"] + z @ w["deep_z/kernel"]
            logits.append(said @ w["logits/kernel"] + w["logits/bias"])
            attention.append(alpha)
        all_logits.append(logits)
        all_attention.append(attention)
    return np.array(all_logits), np.array(all_attention)


def test_logits_and_attention_equal_numpy():
    decoder = tiny_decoder("soft_attention", initializer_scale=0.5)
    features, input_ids = tiny_inputs("soft_attention")
    logits, attention = numpy_run(decoder, features, input_ids)
    for attend in (decoder.attend, tf.function(decoder.attend)):
        outputs, looked = attend(features, input_ids)
        np.testing.assert_allclose(decoder.logits(outputs), logits, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(looked, attention, rtol=1e-4, atol=1e-5)
    assert attention.std(axis=2).min() > 0.01  # It looks somewhere.


def test_the_penalty_is_zero_where_every_place_is_looked_at_once():
    one_after_the_other = tf.eye(PLACES)[tf.newaxis]
    all_real = tf.ones([1, PLACES], tf.bool)
    np.testing.assert_allclose(attention_penalties(one_after_the_other, all_real), [0.0])
    # The last two words are padding: two places are never looked at.
    mask = tf.range(PLACES)[tf.newaxis] < PLACES - 2
    np.testing.assert_allclose(attention_penalties(one_after_the_other, mask), [2.0])
    always_the_same = tf.repeat(tf.one_hot([[0]], PLACES), PLACES, axis=1)
    np.testing.assert_allclose(attention_penalties(always_the_same, all_real), [(PLACES - 1) ** 2 + PLACES - 1])


def test_training_pays_the_penalty_of_each_caption_and_validation_does_not():
    features, _ = tiny_inputs("soft_attention")
    batch = {
        "features": features,
        "input_ids": tf.constant([[1, 3, 4], [1, 5, 9]]),
        "target_ids": tf.constant([[3, 4, 2], [5, 2, 10]]),
        "mask": tf.constant([[True, True, True], [True, True, False]]),
    }
    free, paying = (Captioner(None, tiny_decoder("soft_attention", attention_penalty=x)) for x in (0.0, 0.7))
    np.testing.assert_array_equal(free.word_losses(batch), paying.word_losses(batch))
    seed = tf.constant([1, 2])
    paid = (paying.word_losses(batch, seed) - free.word_losses(batch, seed)).numpy()
    _, attention = paying.decoder.attend(features, batch["input_ids"])
    expected = []
    for row, num_words in enumerate((3, 2)):
        of_places = sum(attention[row, t].numpy() for t in range(num_words))
        expected += [0.7 * np.sum((1 - of_places) ** 2) / num_words] * num_words
    np.testing.assert_allclose(paid, expected, rtol=1e-3)
