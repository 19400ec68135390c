"""Tests of the experiment's fields: their ranges, their file, and the experiments in `configs/`."""

import dataclasses
import importlib
import json
import math
import re
from typing import Literal

import pytest

from im2txt import configuration_history
from im2txt.config_sections.decoder_config import DECODER_CONFIGS
from im2txt.configuration import (
    DecoderConfig,
    DecodingConfig,
    EncoderConfig,
    ExperimentConfig,
    InputConfig,
    OptimizationConfig,
    ShowAndTellConfig,
    TrainingConfig,
)
from im2txt.system import command_line

SECTIONS = {
    "input": InputConfig,
    "encoder": EncoderConfig,
    "decoder": ShowAndTellConfig,
    "optimization": OptimizationConfig,
    "training": TrainingConfig,
    "decoding": DecodingConfig,
}
AT_LEAST_ONE, POSITIVE, NOT_NEGATIVE = "must be at least 1", "must be positive", "must not be negative"
RULES = "sgd, momentum, rmsprop, adagrad, adadelta, adam, adamw"
FINITE = "must be a finite number"
# Section, field, values just outside its range, values at its edge, the rule in words.
RANGES = [
    ("input", "batch_size", [0, -1], [1], AT_LEAST_ONE),
    ("input", "captions_per_image", [0], [1], AT_LEAST_ONE),
    ("input", "shuffle_buffer_examples", [0], [1], AT_LEAST_ONE),
    ("input", "bucketing_batches", [0], [1], AT_LEAST_ONE),
    ("encoder", "image_size", [-1], [0], "must be 0 or a number of pixels"),
    ("encoder", "crop_fraction", [0.0, 1.01], [1e-3, 1.0, 1], "must be in (0, 1]"),
    ("encoder", "weights", [""], ["x"], "must be `imagenet`, `none` or a path"),
    ("encoder", "train_from_epoch", [-0.1], [0.0], NOT_NEGATIVE),
    ("encoder", "batch_norm_momentum", [-0.1, 1.0], [0.0], "must be in [0, 1)"),
    ("encoder", "l2_regularization", [-1e-9], [0.0], NOT_NEGATIVE),
    ("decoder", "embedding_size", [0], [1], AT_LEAST_ONE),
    ("decoder", "num_lstm_units", [0], [1], AT_LEAST_ONE),
    ("decoder", "vocab_size", [-1], [0], "must be 0 or a number of rows"),
    ("decoder", "initializer_scale", [0.0], [1e-9], POSITIVE),
    ("decoder", "image_dropout_rate", [-0.1, 1.0], [0.0, 0.99], "must be in [0, 1)"),
    ("decoder", "input_dropout_rate", [-0.1, 1.0], [0.0, 0.99], "must be in [0, 1)"),
    ("decoder", "output_dropout_rate", [-0.1, 1.0], [0.0, 0.99], "must be in [0, 1)"),
    ("optimization", "learning_rate", [0.0], [1e-9], POSITIVE),
    ("optimization", "decay_epochs", [0.0], [1e-9], POSITIVE),
    ("optimization", "decay_factor", [0.0], [1e-9], POSITIVE),
    ("optimization", "warmup_steps", [-1], [0], NOT_NEGATIVE),
    ("optimization", "clip_norm", [-0.5], [0.0], NOT_NEGATIVE),
    ("optimization", "weight_decay", [-0.5], [0.0], NOT_NEGATIVE),
    ("optimization", "encoder_learning_rate_factor", [-0.5], [0.0], NOT_NEGATIVE),
    ("optimization", "label_smoothing", [-0.1, 1.0], [0.0, 0.99], "must be in [0, 1)"),
    ("optimization", "momentum", [-0.1, 1.0], [0.9], "must be in [0, 1)"),
    ("optimization", "square_decay", [-0.1, 1.0], [0.999], "must be in [0, 1)"),
    ("optimization", "decay_from_epoch", [-0.5], [0.0, 2.5], NOT_NEGATIVE),
    ("optimization", "clip_value", [-0.5], [0.0, 0.1], NOT_NEGATIVE),
    ("optimization", "word_dropout_rate", [-0.1, 1.0], [0.0, 0.99], "must be in [0, 1)"),
    ("optimization", "scheduled_sampling_rate", [-0.1, 1.1], [0.0, 1.0], "must be in [0, 1]"),
    ("optimization", "scheduled_sampling_from_epoch", [-0.5], [0.0], NOT_NEGATIVE),
    ("optimization", "ema_decay", [-0.1, 1.0], [0.0, 0.9999], "must be in [0, 1)"),
    ("training", "stop_above_perplexity", [-1.0], [0.0, 50.0], NOT_NEGATIVE),
    ("training", "accumulation_steps", [0], [1, 4], AT_LEAST_ONE),
    ("training", "num_epochs", [0.0], [1e-9], POSITIVE),
    ("training", "start_deadline_secs", [0.0], [1e-9], POSITIVE),
    ("training", "eval_every_epochs", [0.0], [1e-9], POSITIVE),
    ("training", "checkpoint_every_secs", [0.0], [1e-9], POSITIVE),
    ("training", "steps_per_call", [0], [1], AT_LEAST_ONE),
    ("training", "log_every_steps", [0], [1], AT_LEAST_ONE),
    ("training", "keep_checkpoints", [0], [1], AT_LEAST_ONE),
    ("training", "early_stopping_evaluations", [-1], [0], NOT_NEGATIVE),
    ("training", "seed", [-1], [0], NOT_NEGATIVE),
    ("training", "logical_devices", [-1], [0], NOT_NEGATIVE),
    ("training", "caption_every_epochs", [-0.5], [0.0, 0.5], NOT_NEGATIVE),
    ("training", "caption_images", [1], [2], "must be at least 2"),
    ("training", "sample_images", [-1], [0], NOT_NEGATIVE),
    ("training", "best_by", ["bleu"], ["perplexity"], "must be one of perplexity, cider"),
    ("input", "max_damaged_records", [-1], [0, 10], NOT_NEGATIVE),
    ("input", "padded_caption_length", [-1, 1], [0, 2], "must be 0 or at least 2, for `<S>` and `</S>`"),
    ("decoding", "beam_size", [0, 101], [1, 100], "must be in 1 to 100"),
    ("decoding", "max_caption_length", [1], [2], "must be at least 2"),
    ("decoding", "min_caption_length", [1], [2, 20], "must be at least 2"),
    ("decoding", "no_repeat_ngram_size", [-1], [0, 3], NOT_NEGATIVE),
    ("decoding", "beam_groups", [0], [3], "must be at least 1"),
    ("decoding", "diversity_strength", [-0.1], [0.5], NOT_NEGATIVE),
    ("decoding", "temperature", [0.0], [1.0], POSITIVE),
    ("decoding", "top_k", [-1], [0], NOT_NEGATIVE),
    ("decoding", "top_p", [0.0, 1.1], [1.0], "must be in (0, 1]"),
    ("decoding", "sampling_seed", [-1], [0], NOT_NEGATIVE),
    ("decoding", "method", ["greedy"], ["beam", "sample"], "must be one of beam, diverse_beam, sample"),
    ("decoding", "length_normalization_factor", [-0.1], [0.0], NOT_NEGATIVE),
    # Wrong types and choices, which a Python or JSON file may hold.
    ("input", "batch_size", [2.5, "8", True], [8], "must be of type int"),
    ("input", "data_dir", [3], ["3"], "must be of type str"),
    ("encoder", "trainable", ["false", 0], [True], "must be of type bool"),
    ("encoder", "resize", ["nearest"], ["half_pixel", "legacy"], "must be one of half_pixel, legacy"),
    ("encoder", "compute_dtype", ["float16"], ["bfloat16"], "must be one of float32, bfloat16"),
    ("encoder", "pooling", ["median"], ["avg", "max", "flatten", "grid"], "must be one of avg, max, flatten, grid"),
    ("optimization", "optimizer", ["Adam"], ["adam", "adadelta"], f"must be one of {RULES}"),
    ("optimization", "learning_rate", [math.nan, math.inf, "2", True], [2, 2.0], FINITE),
    ("training", "num_epochs", [math.inf], [1], FINITE),
    ("training", "compute_dtype", ["float16"], ["bfloat16"], "must be one of float32, bfloat16"),
    ("training", "distribution", ["gpu"], ["mirrored"], "must be one of one_device, mirrored, multi_worker, tpu"),
]


@pytest.mark.parametrize(("section", "field", "outside", "inside", "rule"), RANGES)
def test_a_value_out_of_range_is_refused_with_field_value_and_rule(section, field, outside, inside, rule):
    for value in outside:
        message = re.escape(f"{section}.{field}={value!r}: {rule}.")
        with pytest.raises(ValueError, match=f"^{message}$"):
            SECTIONS[section](**{field: value})
    for value in inside:
        assert getattr(SECTIONS[section](**{field: value}), field) == value


def test_every_number_has_a_range():
    ranged = {(section, field) for section, field, *_ in RANGES}
    for section, cls in SECTIONS.items():
        for field in dataclasses.fields(cls):
            if field.type in ("int", "float"):
                assert (section, field.name) in ranged


def test_knobs_of_sampling_are_refused_where_nothing_is_sampled():
    for knob in ({"temperature": 0.7}, {"top_k": 5}, {"top_p": 0.9}):
        assert DecodingConfig(method="sample", **knob)
        with pytest.raises(ValueError, match="needs method=sample"):
            DecodingConfig(**knob)


def test_knobs_of_diverse_beams_are_refused_elsewhere_and_groups_divide_the_beam():
    for knob in ({"beam_groups": 2}, {"diversity_strength": 0.1}):
        assert DecodingConfig(method="diverse_beam", beam_size=6, **knob)
        with pytest.raises(ValueError, match="needs method=diverse_beam"):
            DecodingConfig(beam_size=6, **knob)
    with pytest.raises(ValueError, match="beam_size=4: method=diverse_beam needs a multiple of beam_groups=3"):
        DecodingConfig(method="diverse_beam", beam_size=4)


def test_another_method_leaves_the_knobs_of_the_old_one_behind():
    sampled = DecodingConfig(method="sample", beam_size=5, temperature=0.7, top_k=9, sampling_seed=4)
    assert sampled.replaced({"method": "beam"}) == DecodingConfig(beam_size=5)
    assert sampled.replaced({"top_p": 0.5}) == dataclasses.replace(sampled, top_p=0.5)
    beam = DecodingConfig(length_normalization_factor=0.7, no_repeat_ngram_size=3)
    assert beam.replaced({"method": "sample", "top_k": 5}) == DecodingConfig(
        method="sample", top_k=5, no_repeat_ngram_size=3
    )


@pytest.mark.parametrize(
    ("knob", "told"),
    [
        ({"top_k": 5}, "decoding.top_k=5: needs method=sample, not beam"),
        ({"sampling_seed": 5}, "decoding.sampling_seed=5: needs method=sample, not beam"),
        ({"beam_groups": 3}, "decoding.beam_groups=3: needs method=diverse_beam, not beam"),
        (
            {"method": "sample", "length_normalization_factor": 0.0},
            "decoding.length_normalization_factor=0.0: needs method=beam or diverse_beam, not sample",
        ),
    ],
)
def test_a_knob_that_the_method_does_not_use_is_refused_even_at_its_default(knob, told):
    with pytest.raises(ValueError, match=f"^{re.escape(told)}\\.$"):
        DecodingConfig().replaced(knob)


def test_a_caption_cannot_be_longer_at_least_than_at_most():
    with pytest.raises(ValueError, match="min_caption_length=9: must not exceed max_caption_length=8"):
        DecodingConfig(min_caption_length=9, max_caption_length=8)


def test_only_adamw_decays_weights():
    with pytest.raises(ValueError, match=r"weight_decay=0.1: only adamw decays weights, the optimizer is sgd"):
        OptimizationConfig(weight_decay=0.1)
    assert OptimizationConfig(optimizer="adamw", weight_decay=0.1).weight_decay == 0.1


@pytest.mark.parametrize(
    ("field", "value"), [("train_from_epoch", 1.0), ("update_batch_norm", True), ("l2_regularization", 4e-5)]
)
def test_knobs_of_a_trained_encoder_are_refused_for_a_frozen_one(field, value):
    with pytest.raises(ValueError, match=rf"encoder\.{field}={value}: needs encoder\.trainable=True"):
        EncoderConfig(**{field: value})
    assert EncoderConfig(trainable=True, **{field: value})


def test_a_momentum_of_statistics_needs_statistics_that_are_updated():
    with pytest.raises(ValueError, match=r"batch_norm_momentum=0\.9: needs encoder\.update_batch_norm=True"):
        EncoderConfig(trainable=True, batch_norm_momentum=0.9)
    assert EncoderConfig(trainable=True, update_batch_norm=True, batch_norm_momentum=0.9)


@pytest.mark.parametrize(
    ("knob", "value", "others", "told"),
    [
        ("momentum", 0.8, {}, "only momentum, adam, adamw use it, the optimizer is sgd"),
        (
            "square_decay",
            0.9,
            {"optimizer": "momentum"},
            "only rmsprop, adadelta, adam, adamw use it, the optimizer is",
        ),
        (
            "decay_from_epoch",
            1.0,
            {"schedule": "cosine"},
            "only staircase and exponential set in, the schedule is cosine",
        ),
        ("scheduled_sampling_from_epoch", 1.0, {}, "needs a scheduled_sampling_rate above 0"),
    ],
)
def test_a_knob_of_optimization_that_would_change_nothing_is_refused(knob, value, others, told):
    with pytest.raises(ValueError, match=rf"optimization\.{knob}={value}: {told}"):
        OptimizationConfig(**{knob: value}, **others)
    used = OptimizationConfig(optimizer="adam", scheduled_sampling_rate=0.1, **{knob: value})
    assert getattr(used, knob) == value


def test_parts_of_a_batch_have_no_statistics_of_their_own():
    statistics = EncoderConfig(trainable=True, update_batch_norm=True)
    with pytest.raises(ValueError, match=r"accumulation_steps=2: the statistics of a part are not the batch's"):
        ExperimentConfig(encoder=statistics, training=TrainingConfig(accumulation_steps=2))


def test_an_encoder_that_would_be_trained_after_the_last_epoch_is_refused():
    late = EncoderConfig(trainable=True, train_from_epoch=9.0)
    with pytest.raises(ValueError, match=r"train_from_epoch=9\.0: training\.num_epochs=8 ends training before"):
        ExperimentConfig(encoder=late, training=TrainingConfig(num_epochs=8))
    assert ExperimentConfig(encoder=late, training=TrainingConfig(num_epochs=9))


def test_config_json_gives_the_same_experiment_back():
    config = ExperimentConfig(
        input=InputConfig(data_dir="/tmp/münchen", batch_size=7),
        encoder=EncoderConfig(backbone="VGG16", pooling="max", trainable=True, crop_fraction=1 / 3),
        decoder=ShowAndTellConfig(num_lstm_units=3, input_dropout_rate=0.1),
        optimization=OptimizationConfig(optimizer="adam", learning_rate=0.1 + 0.2),
        training=TrainingConfig(num_epochs=1.5, seed=123),
        decoding=DecodingConfig(beam_size=9, allow_unknown=True),
    )
    assert ExperimentConfig.from_json(config.to_json()) == config
    assert json.loads(config.to_json())["optimization"]["learning_rate"] == 0.1 + 0.2


def test_a_field_absent_from_config_json_has_the_value_of_its_time_not_today_s(monkeypatch):
    config = ExperimentConfig.from_json('{"decoding": {"beam_size": 5}}')
    # Runs of then showed no samples.
    assert config == ExperimentConfig(decoding=DecodingConfig(beam_size=5), training=TrainingConfig(sample_images=0))
    # As if the default had been another one in the first version, and a later field had to be 4 to change nothing.
    monkeypatch.setitem(configuration_history.FIRST_VERSION, "decoding.max_caption_length", 9)
    monkeypatch.setitem(configuration_history.ADDED[2], "decoding.no_repeat_ngram_size", 4)
    for text in ("{}", '{"format_version": 1}', '{"format_version": 2, "decoding": {}}'):
        decoding = ExperimentConfig.from_json(text).decoding
        assert (decoding.max_caption_length, decoding.no_repeat_ngram_size) == (9, 4)
    assert DecodingConfig().max_caption_length == 20


@pytest.mark.parametrize("name", DECODER_CONFIGS)
def test_every_number_of_a_decoder_has_a_range(name):
    for field in dataclasses.fields(DECODER_CONFIGS[name]):
        if field.type in ("int", "float"):
            with pytest.raises(ValueError, match=re.escape(f"decoder.{field.name}=-1")):
                DECODER_CONFIGS[name](**{field.name: -1})
        if field.name.endswith("_rate"):
            with pytest.raises(ValueError, match=re.escape(f"decoder.{field.name}=1: must be in [0, 1).")):
                DECODER_CONFIGS[name](**{field.name: 1})


@pytest.mark.parametrize("name", DECODER_CONFIGS)
def test_a_decoder_takes_its_own_knobs_and_refuses_those_of_others(name):
    config = ExperimentConfig(decoder=DECODER_CONFIGS[name]())
    assert ExperimentConfig.from_json(config.to_json()) == config
    own = {field.name for field in dataclasses.fields(DECODER_CONFIGS[name])}
    others = {field.name for other in DECODER_CONFIGS.values() for field in dataclasses.fields(other)} - own
    for knob in others | {"knob_of_none"}:
        with pytest.raises(ValueError, match=f"unknown field decoder.{knob}"):
            ExperimentConfig.from_json(json.dumps({"format_version": 3, "decoder": {"name": name, knob: 1}}))


def test_a_decoder_of_no_such_name_is_refused():
    with pytest.raises(ValueError, match=r"decoder\.name='show_and_tel': must be .*; did you mean show_and_tell\?"):
        ExperimentConfig.from_json('{"decoder": {"name": "show_and_tel"}}')
    with pytest.raises(ValueError, match=r"decoder\.name=''"):
        DecoderConfig()


def test_a_decoder_named_by_a_flag_brings_its_own_knobs_and_defaults(monkeypatch):
    @dataclasses.dataclass(frozen=True)
    class Flags:
        config: ExperimentConfig

    @dataclasses.dataclass(frozen=True)
    class OtherConfig(DecoderConfig):
        name: Literal["other"] = "other"
        num_lamps: int = 3

    monkeypatch.setitem(DECODER_CONFIGS, "other", OtherConfig)
    for named in (["--config.decoder.name=other"], ["--config.decoder.name", "other"]):
        flags = ["--config=flickr8k", *named, "--config.decoder.num_lamps=4"]
        assert command_line.parse_with_config(Flags, "", flags).config.decoder == OtherConfig(num_lamps=4)
    kept = command_line.parse_with_config(Flags, "", ["--config=flickr8k", "--config.decoder.name=show_and_tell"])
    assert kept.config == command_line.load_config("flickr8k")  # Already so: nothing falls back to a default.
    with pytest.raises(SystemExit, match="2"):
        command_line.parse_with_config(Flags, "", ["--config=flickr8k", "--config.decoder.name=othr"])


def test_every_field_is_in_the_history_of_config_json():
    fields = {f"{section}.{field.name}" for section, cls in SECTIONS.items() for field in dataclasses.fields(cls)}
    for name, cls in DECODER_CONFIGS.items():
        if name != configuration_history.FIRST_DECODER:
            fields |= {f"decoder.{name}.{field.name}" for field in dataclasses.fields(cls)}
    assert fields == configuration_history.known_fields().keys(), (
        "A new field must be added to ADDED in im2txt/configuration_history.py with the value that leaves runs which "
        "were started without it as they were."
    )
    listed = [name for added in configuration_history.ADDED.values() for name in added]
    assert len(fields) == len(configuration_history.FIRST_VERSION) + len(listed)  # None stands there twice.


def test_config_json_bears_its_version():
    assert json.loads(ExperimentConfig().to_json())["format_version"] == configuration_history.FORMAT_VERSION


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"decoder": {"num_lstm_unit": 3}}', r"unknown field decoder\.num_lstm_unit; did you mean decoder\.num_lstm_"),
        ('{"encodr": {}}', "unknown field encodr; did you mean encoder?"),
        ('{"decoding": {"temperatur": 1}}', r"unknown field decoding\.temperatur; did you mean decoding.temperature"),
        ('{"input": {"batch_size": 0}}', r"input\.batch_size=0: must be at least 1"),
        ('{"input": 3}', "input must be an object, not 3"),
        ('{"format_version": 99}', "format_version is 99; this im2txt reads 1 to "),
        ('{"format_version": "1"}', "format_version is '1'; this im2txt reads 1 to "),
        ("[]", "the top level must be an object"),
        ('{"input": ', "Expecting value"),
    ],
)
def test_a_config_json_that_does_not_fit_is_refused_with_its_name(text, message):
    with pytest.raises(ValueError, match=f"^run/config.json is not a configuration of this version: .*{message}"):
        ExperimentConfig.from_json(text, "run/config.json")


@pytest.mark.parametrize("name", command_line.config_names())
def test_every_experiment_loads_and_says_what_it_costs_and_gives(name):
    module = importlib.import_module(f"configs.{name}")
    assert isinstance(module.get_config(), ExperimentConfig)
    assert module.get_config() == module.get_config()
    assert module.__doc__
    assert len(module.__doc__) > 60
    assert ExperimentConfig.from_json(module.get_config().to_json()) == module.get_config()
