"""Every decoder at sizes that a test can count, for what is true of all of them."""

import dataclasses

import numpy as np
import tensorflow as tf

from im2txt.config_sections.decoder_config import DECODER_CONFIGS
from im2txt.model.decoders.registry import DECODERS

V, PLACES, FEATURES = 13, 5, 6
IMAGES, CAPTIONS_PER_IMAGE, T = 2, 2, 4


def tiny_config(name, **fields):
    """Sizes of 8 and less, nothing dropped, unless `fields` say otherwise."""
    sizes = {
        field.name: 2 if field.name in ("num_heads", "num_layers") else 8
        for field in dataclasses.fields(DECODER_CONFIGS[name])
        if field.type == "int" and field.name != "vocab_size"
    }
    rates = {
        field.name: 0.0 for field in dataclasses.fields(DECODER_CONFIGS[name]) if field.name.endswith("dropout_rate")
    }
    return DECODER_CONFIGS[name](**(sizes | rates | {"log_frequency_bias": False} | fields))


def feature_shape(name):
    """The shape of one photograph's features that the decoder takes."""
    return (FEATURES,) if 1 in DECODERS[name].feature_ranks else (PLACES, FEATURES)


def tiny_decoder(name, seed=3, word_counts=None, **fields):
    """A decoder whose weights are three times as large as usual, so that nothing drowns in a tolerance."""
    decoder = DECODERS[name](tiny_config(name, **fields), V, feature_shape(name), seed, word_counts)
    for variable in decoder.variables.values():
        if variable.shape.rank > 1:
            variable.assign(variable * 3.0)
    return decoder


def tiny_inputs(name):
    """Features float32 [I, ...] and input_ids int32 [B, T], two captions of each photograph."""
    generator = np.random.default_rng(0)
    features = generator.normal(size=(IMAGES, *feature_shape(name))).astype(np.float32)
    input_ids = generator.permutation(np.arange(IMAGES * CAPTIONS_PER_IMAGE * T) % V)
    return tf.constant(features), tf.constant(input_ids.reshape(-1, T), tf.int32)


def by_steps(decoder, features, input_ids):
    """Logits [B, T, V], word by word."""
    state, fixed = decoder.start(features, input_ids.shape[1])
    captions_per_image = input_ids.shape[0] // features.shape[0]
    state = tf.nest.map_structure(lambda rows: tf.repeat(rows, captions_per_image, axis=0), state)
    logits = []
    for t in range(input_ids.shape[1]):
        of_word, state = decoder.step(input_ids[:, t], state, fixed)
        logits.append(of_word)
    return tf.stack(logits, axis=1)
