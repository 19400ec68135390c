"""The original's decoder out of checkpoints of every age: names, gates, and what is another model's."""

import re

import numpy as np
import pytest
import tensorflow as tf
from tensorflow1_im2txt import LSTM_NAMES

from im2txt.configuration import ShowAndTellConfig
from im2txt.model.decoders.show_and_tell import ShowAndTellDecoder
from im2txt.runs.original_checkpoint import original_decoder_variables, read_original_decoder
from im2txt.system.tensorflow1_checkpoint import Tensorflow1Checkpoint, write_tensorflow1_checkpoint

V, E, U = 11, 5, 3


def variables(lstm_names="1.2", **changes):
    """Values of a small decoder under the original's names; a change is by name, None takes the variable away."""
    rng = np.random.default_rng(0)
    kernel, bias = (f"lstm/{name}" for name in LSTM_NAMES[lstm_names])
    shapes = {
        "image_embedding/weights": (2048, E),
        "seq_embedding/map": (V, E),
        kernel: (E + U, 4 * U),
        bias: (4 * U,),
        "logits/weights": (U, V),
        "logits/biases": (V,),
    }
    values = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    values |= {"global_step": np.array(7, np.int32)} | changes
    return {name: value for name, value in values.items() if value is not None}


def read(folder, values):
    path = str(folder / "model.ckpt-7")
    write_tensorflow1_checkpoint(path, values)
    return read_original_decoder(Tensorflow1Checkpoint(path))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("age", LSTM_NAMES)
def test_every_age_s_lstm_computes_what_it_computed(tmp_path, age):
    values = variables(age)
    found = read(tmp_path, values)
    assert (found.step, found.vocab_size, found.embedding_size, found.num_lstm_units) == (7, V, E, U)
    decoder = ShowAndTellDecoder(ShowAndTellConfig(embedding_size=E, num_lstm_units=U), V, (2048,), seed=1)
    assert decoder.variables.keys() == found.weights.keys()
    for name, variable in decoder.variables.items():
        variable.assign(found.weights[name])
    kernel, bias = (values[f"lstm/{name}"].astype(np.float64) for name in LSTM_NAMES[age])
    c, h = np.zeros((2, 1, U))
    features = np.random.default_rng(1).normal(size=(1, 2048)).astype(np.float32) / 50
    inputs = [features @ values["image_embedding/weights"], *values["seq_embedding/map"][[[4], [0], [9]]]]
    state, fixed = decoder.start(tf.constant(features), 3)
    for position, x in enumerate(inputs):
        i, j, f, o = np.split(np.concatenate([x, h], 1) @ kernel + bias, 4, axis=1)
        c = c * sigmoid(f + 1) + sigmoid(i) * np.tanh(j)
        h = np.tanh(c) * sigmoid(o)
        if position:
            logits, state = decoder.step(tf.constant([[4], [0], [9]][position - 1]), state, fixed)
            np.testing.assert_allclose(logits, h @ values["logits/weights"] + values["logits/biases"], atol=1e-5)
        np.testing.assert_allclose(state[0], h, atol=1e-5)
        np.testing.assert_allclose(state[1], c, atol=1e-5)


def test_going_there_and_back_changes_nothing(tmp_path):
    values = variables("1.2")
    found = read(tmp_path, values)
    back = original_decoder_variables(found.weights, found.step)
    assert back.keys() == values.keys()
    for name, value in values.items():
        assert back[name].dtype == value.dtype
        np.testing.assert_allclose(back[name], value, atol=1e-6)


def test_a_checkpoint_without_its_step_is_read_as_step_0(tmp_path):
    assert read(tmp_path, variables(global_step=None)).step == 0


def test_what_training_leaves_behind_is_passed_over(tmp_path):
    left = {
        "OptimizeLoss/learning_rate": np.float32(2),
        "beta1_power": np.float32(0.9),
        "logits/weights/Momentum": np.zeros((U, V), np.float32),
        "InceptionV3/Conv2d_1a_3x3/weights": np.zeros(3, np.float32),
    }
    assert read(tmp_path, variables(**left)).vocab_size == V


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"lstm/basic_lstm_cell/kernel": None}, "holds no LSTM of im2txt: none of .*kernel.*weights.*Matrix"),
        ({"lstm/basic_lstm_cell/bias": None}, r"no variable 'lstm/basic_lstm_cell/bias' \(wanted: \[12\]\)"),
        ({"seq_embedding/map": None}, "'seq_embedding/map' .* is missing; .*fork that renamed"),
        ({"seq_embedding/map": np.zeros((2, V, E))}, r"'seq_embedding/map' .* has shape \[2, 11, 5\]"),
        (
            {"lstm/basic_lstm_cell/kernel": np.zeros((E + U + 4, 4 * U))},
            r"kernel' .* \[12, 12\]; .*\[8, 12\].*attention",
        ),
        ({"lstm/basic_lstm_cell/kernel": np.zeros((E + U, 4 * U - 1))}, r"kernel' .* shape \[8, 11\]"),
        ({"image_embedding/weights": np.zeros((1536, E))}, r"'image_embedding/weights' .* \[1536, 5\].*\[2048, 5\]"),
        ({"logits/weights": np.zeros((U, V + 1))}, r"'logits/weights' .* \[3, 12\].*\[3, 11\]"),
        ({"logits/biases": np.zeros(V - 1)}, r"'logits/biases' .* \[10\].*\[11\]"),
        ({"attention/W": np.zeros((4, 2))}, r"weights that im2txt's model lacks: 'attention/W' \[4, 2\]\. .*fork"),
        ({"logits/biases": np.full(V, np.nan)}, "'logits/biases' .* no finite numbers"),
    ],
)
def test_another_model_s_checkpoint_is_refused_by_variable_and_shapes(tmp_path, change, told):
    change = {name: None if value is None else value.astype(np.float32) for name, value in change.items()}
    with pytest.raises(ValueError, match=told) as error:
        read(tmp_path, variables(**change))
    assert "\n" not in str(error.value)
    assert re.search(r"model\.ckpt-7", str(error.value))


def test_the_encoder_alone_is_no_captioner(tmp_path):
    with pytest.raises(ValueError, match="Beside the image encoder it holds global_step.*or of the encoder alone"):
        read(tmp_path, {"InceptionV3/Conv2d_1a_3x3/weights": np.zeros(3, np.float32), "global_step": np.int32(0)})
