"""What a `config.json` means that lacks a field: the value of its own time, not today's default.

The file bears a `format_version`; one without is of version 1. Whoever adds a field adds it to the newest version here,
with the value that leaves everything as it was before the field; once runs of that version may be about, with a version
of its own. Nothing else in this module ever changes: a run that was started then must mean the same now.
"""

from __future__ import annotations

from typing import Any

FIRST_VERSION: dict[str, Any] = {
    "input.data_dir": "",
    "input.train_split": "train",
    "input.val_split": "val",
    "input.batch_size": 32,
    "input.captions_per_image": 1,
    "input.shuffle_buffer_examples": 4600,
    "input.bucketing_batches": 16,
    "input.distort_images": True,
    "encoder.backbone": "InceptionV3",
    "encoder.weights": "imagenet",
    "encoder.image_size": 0,
    "encoder.crop_fraction": 299 / 346,
    "encoder.pooling": "avg",
    "encoder.trainable": False,
    "encoder.update_batch_norm": False,
    "decoder.embedding_size": 512,
    "decoder.num_lstm_units": 512,
    "decoder.image_input": "first",
    "decoder.initializer_scale": 0.08,
    "decoder.image_dropout_rate": 0.0,
    "decoder.input_dropout_rate": 0.3,
    "decoder.output_dropout_rate": 0.3,
    "decoder.log_frequency_bias": False,
    "optimization.optimizer": "sgd",
    "optimization.learning_rate": 2.0,
    "optimization.schedule": "staircase",
    "optimization.warmup_steps": 0,
    "optimization.decay_epochs": 8.0,
    "optimization.decay_factor": 0.5,
    "optimization.encoder_learning_rate_factor": 1.0,
    "optimization.clip_norm": 5.0,
    "optimization.weight_decay": 0.0,
    "optimization.label_smoothing": 0.0,
    "training.num_epochs": 50.0,
    "training.steps_per_call": 50,
    "training.log_every_steps": 100,
    "training.eval_every_epochs": 1.0,
    "training.checkpoint_every_secs": 600.0,
    "training.keep_checkpoints": 3,
    "training.early_stopping_evaluations": 0,
    "training.compute_dtype": "float32",
    "training.distribution": "one_device",
    "training.seed": 1,
    "decoding.beam_size": 3,
    "decoding.max_caption_length": 20,
    "decoding.length_normalization_factor": 0.0,
    "decoding.allow_unknown": False,
}
"""The fields of version 1, with their defaults then."""

ADDED: dict[int, dict[str, Any]] = {
    2: {
        "encoder.resize": "half_pixel",
        "decoder.name": "show_and_tell",
        "decoder.vocab_size": 0,
        "training.start_from": "",
        "input.padded_caption_length": 0,
        "training.logical_devices": 0,
        "training.tpu_name": "",
        "decoding.method": "beam",
        "decoding.allow_start": False,
        "decoding.min_caption_length": 2,
        "decoding.no_repeat_ngram_size": 0,
        "decoding.temperature": 1.0,
        "decoding.top_k": 0,
        "decoding.top_p": 1.0,
        "decoding.sampling_seed": 1,
    },
    3: {
        "input.max_damaged_records": 0,
        "decoding.beam_groups": 3,
        "decoding.diversity_strength": 0.5,
        "encoder.compute_dtype": "float32",
        "encoder.train_from_epoch": 0.0,
        "encoder.batch_norm_momentum": 0.0,
        "encoder.l2_regularization": 0.0,
        "optimization.momentum": 0.9,
        "optimization.square_decay": 0.999,
        "optimization.decay_from_epoch": 0.0,
        "optimization.clip_value": 0.0,
        "optimization.word_dropout_rate": 0.0,
        "optimization.scheduled_sampling_rate": 0.0,
        "optimization.scheduled_sampling_from_epoch": 0.0,
        "optimization.ema_decay": 0.0,
        "training.stop_above_perplexity": 0.0,
        "training.accumulation_steps": 1,
        "training.start_deadline_secs": 600.0,
        "training.caption_every_epochs": 0.0,
        "training.caption_images": 1000,
        "training.best_by": "perplexity",
        "training.sample_images": 0,
        "decoder.neuraltalk_lstm.name": "neuraltalk_lstm",
        "decoder.neuraltalk_lstm.vocab_size": 0,
        "decoder.neuraltalk_lstm.log_frequency_bias": True,
        "decoder.neuraltalk_lstm.hidden_size": 256,
        "decoder.neuraltalk_lstm.tanh_cell": False,
        "decoder.neuraltalk_lstm.initializer_scale": 0.1,
        "decoder.neuraltalk_lstm.encoder_dropout_rate": 0.5,
        "decoder.neuraltalk_lstm.decoder_dropout_rate": 0.5,
        "decoder.neuraltalk_rnn.name": "neuraltalk_rnn",
        "decoder.neuraltalk_rnn.vocab_size": 0,
        "decoder.neuraltalk_rnn.log_frequency_bias": True,
        "decoder.neuraltalk_rnn.embedding_size": 256,
        "decoder.neuraltalk_rnn.hidden_size": 256,
        "decoder.neuraltalk_rnn.image_input": "every_step",
        "decoder.neuraltalk_rnn.relu_encoders": False,
        "decoder.neuraltalk_rnn.initializer_scale": 0.1,
        "decoder.neuraltalk_rnn.encoder_dropout_rate": 0.5,
        "decoder.neuraltalk_rnn.decoder_dropout_rate": 0.5,
        "decoder.merge.name": "merge",
        "decoder.merge.vocab_size": 0,
        "decoder.merge.log_frequency_bias": False,
        "decoder.merge.embedding_size": 256,
        "decoder.merge.num_lstm_units": 256,
        "decoder.merge.image_dropout_rate": 0.5,
        "decoder.merge.word_dropout_rate": 0.5,
        "decoder.word_by_word.name": "word_by_word",
        "decoder.word_by_word.vocab_size": 0,
        "decoder.word_by_word.log_frequency_bias": False,
        "decoder.word_by_word.image_embedding_size": 128,
        "decoder.word_by_word.embedding_size": 50,
        "decoder.word_by_word.num_language_units": 256,
        "decoder.word_by_word.num_lstm_units": 500,
        "decoder.whole_description.name": "whole_description",
        "decoder.whole_description.vocab_size": 0,
        "decoder.whole_description.log_frequency_bias": False,
        "decoder.whole_description.image_embedding_size": 256,
        "decoder.whole_description.num_lstm_units": 256,
        "decoder.whole_description.image_dropout_rate": 0.5,
        "decoder.soft_attention.name": "soft_attention",
        "decoder.soft_attention.vocab_size": 0,
        "decoder.soft_attention.log_frequency_bias": False,
        "decoder.soft_attention.embedding_size": 512,
        "decoder.soft_attention.num_lstm_units": 512,
        "decoder.soft_attention.attention_size": 512,
        "decoder.soft_attention.attention_penalty": 1.0,
        "decoder.soft_attention.initializer_scale": 0.08,
        "decoder.soft_attention.input_dropout_rate": 0.3,
        "decoder.soft_attention.output_dropout_rate": 0.5,
        "decoder.transformer.name": "transformer",
        "decoder.transformer.vocab_size": 0,
        "decoder.transformer.log_frequency_bias": False,
        "decoder.transformer.model_size": 512,
        "decoder.transformer.num_layers": 2,
        "decoder.transformer.num_heads": 8,
        "decoder.transformer.feedforward_size": 2048,
        "decoder.transformer.dropout_rate": 0.1,
    },
}
"""By version, the fields that came with it, with the values that leave everything as it was before.

`decoder.*` are Show and Tell's, the first decoder; those of another one stand as `decoder.NAME.*`.
"""

FIRST_DECODER = "show_and_tell"
FORMAT_VERSION = max(ADDED)
VERSION_KEY = "format_version"


def completed(fields: dict[str, Any]) -> dict[str, Any]:
    """Returns the sections of a `config.json` with every field that it lacks, without its version.

    Raises:
        ValueError: if it is of a version that this code does not know.
    """
    version = fields.get(VERSION_KEY, 1)
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        raise ValueError(
            f"{VERSION_KEY} is {version!r}; this im2txt reads 1 to {FORMAT_VERSION}, a newer one wrote the file"
        )
    sections = {name: value for name, value in fields.items() if name != VERSION_KEY}
    for dotted, value in known_fields().items():
        section, _, name = dotted.rpartition(".")
        section, _, decoder = section.partition(".")
        of_section = sections.setdefault(section, {})
        if not isinstance(of_section, dict):  # Refused by who reads on.
            continue
        if section != "decoder" or of_section.get("name", FIRST_DECODER) == (decoder or FIRST_DECODER):
            sections[section] = {name: value} | of_section
    return sections


def known_fields() -> dict[str, Any]:
    """Returns all fields as in `ADDED`, each with the value it has where it is missing."""
    return FIRST_VERSION | {name: value for version in sorted(ADDED) for name, value in ADDED[version].items()}
