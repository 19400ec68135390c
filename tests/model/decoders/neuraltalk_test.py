"""NeuralTalk's decoders against their equations in NumPy, as a loop over words in row vectors and one weight matrix."""

import numpy as np
import pytest
import tensorflow as tf
from tiny_decoders import CAPTIONS_PER_IMAGE, V, tiny_decoder, tiny_inputs

from im2txt.configuration import NeuralTalkLstmConfig, NeuralTalkRnnConfig
from im2txt.model.decoders.neuraltalk_lstm import NeuralTalkLstmDecoder
from im2txt.model.decoders.neuraltalk_rnn import NeuralTalkRnnDecoder


def weights_of(decoder):
    return {name: variable.numpy().astype(np.float64) for name, variable in decoder.variables.items()}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def logits_of(decoder, in_graph, features, input_ids):
    unroll = tf.function(decoder.unroll) if in_graph else decoder.unroll
    return decoder.logits(unroll(features, input_ids))


@pytest.mark.parametrize("in_graph", [False, True])
@pytest.mark.parametrize("tanh_cell", [False, True])
def test_the_lstm_equals_numpy(tanh_cell, in_graph):
    decoder = tiny_decoder("neuraltalk_lstm", tanh_cell=tanh_cell)
    w, (features, input_ids) = weights_of(decoder), tiny_inputs("neuraltalk_lstm")
    # One matrix [1 + d + d, 4d] over [1, x, h], its gates in the order i, f, o, g.
    matrix = np.concatenate([w["lstm/bias"][None], w["lstm/kernel"], w["lstm/recurrent_kernel"]])
    i, f, g, o = np.split(matrix, 4, axis=1)
    matrix = np.concatenate([i, f, o, g], axis=1)
    d = w["word_embedding"].shape[1]
    expected = []
    for row, ids in enumerate(input_ids.numpy()):
        image = features.numpy()[row // CAPTIONS_PER_IMAGE] @ w["image_embedding/kernel"] + w["image_embedding/bias"]
        h, c, outputs = np.zeros(d), np.zeros(d), []
        for x in [image, *w["word_embedding"][ids]]:
            gates = np.concatenate([[1.0], x, h]) @ matrix
            i, f, o, g = (*sigmoid(gates[: 3 * d].reshape(3, d)), np.tanh(gates[3 * d :]))
            c = i * g + f * c
            h = o * (np.tanh(c) if tanh_cell else c)
            outputs.append(h @ w["logits/kernel"] + w["logits/bias"])
        expected.append(outputs[1:])
    np.testing.assert_allclose(logits_of(decoder, in_graph, features, input_ids), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("in_graph", [False, True])
@pytest.mark.parametrize("image_input", ["every_step", "first"])
@pytest.mark.parametrize("relu_encoders", [False, True])
def test_the_rnn_equals_numpy(image_input, relu_encoders, in_graph):
    decoder = tiny_decoder("neuraltalk_rnn", image_input=image_input, relu_encoders=relu_encoders)
    w, (features, input_ids) = weights_of(decoder), tiny_inputs("neuraltalk_rnn")

    def encoded(x):
        return np.maximum(x, 0) if relu_encoders else x

    expected = []
    for row, ids in enumerate(input_ids.numpy()):
        image = features.numpy()[row // CAPTIONS_PER_IMAGE] @ w["image_embedding/kernel"] + w["image_embedding/bias"]
        h, outputs = np.zeros(len(w["hidden/bias"])), []
        for t, x in enumerate(w["word_embedding"][ids]):
            seen = encoded(image) if t == 0 or image_input == "every_step" else 0
            words = encoded(x @ w["hidden/kernel"] + w["hidden/bias"])
            h = np.maximum(seen + words + h @ w["recurrent/kernel"] + w["recurrent/bias"], 0)
            outputs.append(h @ w["logits/kernel"] + w["logits/bias"])
        expected.append(outputs)
    np.testing.assert_allclose(logits_of(decoder, in_graph, features, input_ids), expected, rtol=1e-4, atol=1e-5)


def test_weights_start_as_in_neuraltalk():
    counts = np.arange(1, V + 1)
    lstm = weights_of(NeuralTalkLstmDecoder(NeuralTalkLstmConfig(), V, (30,), 1, counts))
    rnn = weights_of(NeuralTalkRnnDecoder(NeuralTalkRnnConfig(), V, (30,), 1, counts))
    for w in (lstm, rnn):
        bias = np.log(counts / counts.sum())
        np.testing.assert_allclose(w["logits/bias"] - w["logits/bias"].max(), bias - bias.max(), atol=1e-6)
        assert not w["image_embedding/bias"].any()
        for name in ("image_embedding/kernel", "word_embedding"):
            assert 0.099 < np.abs(w[name]).max() <= 0.1
    assert 0.099 < np.abs(lstm["logits/kernel"]).max() <= 0.1
    assert 0.099 < np.abs(lstm["lstm/bias"]).max() <= 0.1  # A row of NeuralTalk's one matrix.
    assert 0.0099 < np.abs(rnn["logits/kernel"]).max() <= 0.01
    assert not rnn["hidden/bias"].any()
    assert not rnn["recurrent/bias"].any()


def test_parameters_at_neuraltalk_s_sizes():
    d, features, words = 256, 4096, 2538
    of = {
        "lstm": NeuralTalkLstmDecoder(NeuralTalkLstmConfig(), words, (features,), 1, np.ones(words)),
        "rnn": NeuralTalkRnnDecoder(NeuralTalkRnnConfig(), words, (features,), 1, np.ones(words)),
    }
    sizes = {name: sum(int(np.prod(v.shape)) for v in decoder.variables.values()) for name, decoder in of.items()}
    both = features * d + d + words * d + d * words + words
    assert sizes == {"lstm": both + (1 + d + d) * 4 * d, "rnn": both + 2 * (d * d + d)}
