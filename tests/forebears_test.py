"""The configuration of every forebear trains by the command, goes on to captions, and keeps to its decoder."""

import dataclasses
import importlib
import sys

import pytest
from fakes import jpeg, one_layer_small_cnn, step_by_step, write_dataset

from im2txt.inference.photograph_captioner import PhotographCaptioner
from im2txt.runs.run_files import read_run_config
from im2txt.shards import input_pipeline
from im2txt.system.command_line import load_config
from im2txt.training import run_validation, training_run

# The smallest sizes that the decoders take, but for those that are few already.
FEW = {"num_layers": 2, "num_heads": 2, "vocab_size": 0}
DECODER_OF = {
    "neuraltalk_lstm": "neuraltalk_lstm",
    "neuraltalk_rnn": "neuraltalk_rnn",
    "neuraltalk2": "show_and_tell",
    "merge": "merge",
    "word_by_word": "word_by_word",
    "whole_description": "whole_description",
    "show_attend_tell": "soft_attention",
    "transformer": "transformer",
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"), {"train": 4, "val": 2}, (2,), shards_per_split=1)


@pytest.fixture(scope="module", autouse=True)
def nothing_is_traced_twice():
    """Models step by step and pipelines once for all: tracing takes ten times as long as all that is computed here.

    That every decoder is the same in a graph stands in `tests/model/decoders`.
    """
    built = {}

    def once(build):
        def batches(folder, *arguments):
            key = repr((build.__name__, folder.path, *arguments))
            return built[key] if key in built else built.setdefault(key, build(folder, *arguments))

        return batches

    with pytest.MonkeyPatch.context() as patch, one_layer_small_cnn(), step_by_step():
        patch.setattr(training_run, "training_batches", once(input_pipeline.training_batches))
        patch.setattr(run_validation, "evaluation_batches", once(input_pipeline.evaluation_batches))
        yield


@pytest.mark.parametrize("name", DECODER_OF)
def test_a_forebear_s_configuration_trains_and_captions(name, dataset, tmp_path, monkeypatch):
    decoder = load_config(name).decoder
    assert decoder.name == DECODER_OF[name]
    sizes = {
        field.name: FEW.get(field.name, 4) for field in dataclasses.fields(decoder) if isinstance(field.default, int)
    }
    sizes = {size: value for size, value in sizes.items() if type(getattr(decoder, size)) is int}
    flags = {
        **{f"decoder.{size}": value for size, value in sizes.items()},
        "input.data_dir": dataset.data_dir,
        "input.batch_size": 2,
        "input.shuffle_buffer_examples": 4,
        "input.distort_images": False,
        "input.bucketing_batches": 1,
        "encoder.backbone": "SmallCNN",
        "encoder.weights": "none",
        "encoder.image_size": 32,
        "encoder.crop_fraction": 1.0,
        "encoder.train_from_epoch": 0.0,
        "training.num_epochs": 0.25,
        "training.eval_every_epochs": 0.25,
        "training.sample_images": 0,
    }
    arguments = [f"--config={name}", f"--workdir={tmp_path}", *(f"--config.{k}={v}" for k, v in flags.items())]
    monkeypatch.setattr(sys, "argv", ["im2txt.train", *arguments])
    importlib.import_module("im2txt.train").main()
    assert read_run_config(str(tmp_path)).decoder == dataclasses.replace(decoder, **sizes)
    (result,) = PhotographCaptioner.load(str(tmp_path), beam_size=2, max_caption_length=4)([jpeg(3)])
    assert result.candidates
