"""What fixes a run and what may change under it: each field of the configuration, each part of the manifest."""

import dataclasses
import re
from pathlib import Path

import pytest
from fakes import VOCABULARY, write_dataset

from im2txt.configuration import EncoderConfig, ExperimentConfig, InputConfig, OptimizationConfig, TrainingConfig
from im2txt.runs import resume
from im2txt.text.vocabulary import Vocabulary

DOCS = Path(__file__).parents[2] / "docs" / "runs.md"
CONFIG = ExperimentConfig(
    input=InputConfig(data_dir="/data/shards"),
    encoder=EncoderConfig(weights="/weights/a.h5", trainable=True),
    optimization=OptimizationConfig(optimizer="adamw"),
)
FIELDS = [
    (section.name, field.name)
    for section in dataclasses.fields(CONFIG)
    for field in dataclasses.fields(getattr(CONFIG, section.name))
]


def with_field(config, section, field, value):
    """Past the checks of ranges: what is compared is values, whatever they are."""
    part = dataclasses.replace(getattr(config, section))
    object.__setattr__(part, field, value)
    changed = dataclasses.replace(config)
    object.__setattr__(changed, section, part)
    return changed


@pytest.mark.parametrize(("section", "field"), FIELDS)
def test_a_changed_field_is_named_unless_it_is_free(section, field):
    name = f"{section}.{field}"
    old = getattr(getattr(CONFIG, section), field)
    told = resume.changed_fields(CONFIG, with_field(CONFIG, section, field, "other"))
    assert told == ([] if resume.is_free(name) else [f"{name}: {old!r} -> 'other'"])


def test_exactly_this_is_free():
    free = {f"{section}.{field}" for section, field in FIELDS if resume.is_free(f"{section}.{field}")}
    assert {name for name in free if not name.startswith("decoding.")} == {
        "input.data_dir",
        "input.max_damaged_records",
        "encoder.weights",
        "training.start_from",
        "training.num_epochs",
        "training.early_stopping_evaluations",
        "training.stop_above_perplexity",
        "training.eval_every_epochs",
        "training.caption_every_epochs",
        "training.sample_images",
        "training.log_every_steps",
        "training.steps_per_call",
        "training.checkpoint_every_secs",
        "training.keep_checkpoints",
        "training.start_deadline_secs",
        "training.tpu_name",
    }
    assert {"decoding.beam_size", "decoding.max_caption_length"} <= free
    fixed = {"training.compute_dtype", "training.distribution", "training.seed", "input.batch_size", "input.val_split"}
    assert not fixed & free


def test_every_free_name_is_a_field():
    names = {f"{section}.{field}" for section, field in FIELDS} | {f"{section}.*" for section, _ in FIELDS}
    assert resume.FREE.keys() <= names


def test_the_documents_list_the_same_fields():
    listed = re.findall(
        r"^\| `([a-z_.*]+)` \|", DOCS.read_text(encoding="utf-8").partition("may change")[2], re.MULTILINE
    )
    assert listed == list(resume.FREE)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shards"
    return write_dataset(folder, {"train": 4, "val": 2, "test": 2}, feature_size=3, shards_per_split=1).manifest


def check(old, new, words=VOCABULARY):
    resume.check_resumed("/run", (CONFIG, VOCABULARY, old), (CONFIG, words, new))


def test_what_a_run_does_not_see_of_its_data_may_change(manifest):
    splits = {name: entry for name, entry in manifest.splits.items() if name != "test"}
    moved = dataclasses.replace(manifest.encoder, source_dir="/elsewhere/", source_manifest_crc32c="1", weights="b.h5")
    told = {"images_dir": "/elsewhere"}
    new = dataclasses.replace(
        manifest, splits=splits, encoder=moved, options=told, tool_version="9", skipped={"a": 1}, seed=9
    )
    check(manifest, new)


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize(
    "change", [{"name": "x"}, {"bytes": 1}, {"crc32c": "12345678"}, {"captions_per_example": {5: 1}}]
)
def test_other_examples_are_refused(manifest, split, change):
    entry = manifest.splits[split]
    shards = (dataclasses.replace(entry.shards[0], **change), *entry.shards[1:])
    splits = manifest.splits | {split: dataclasses.replace(entry, shards=shards)}
    with pytest.raises(
        ValueError, match=rf"^/data/shards no longer holds .* in /run was .*: other shards of split '{split}'\."
    ):
        check(manifest, dataclasses.replace(manifest, splits=splits))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"layout": "pair"}, "layout"),
        ({"tokenizer": "treebank"}, "tokenizer"),
        ({"encoder": None}, "encoder of the features"),
        ({"splits": {}}, "shards of split 'train', shards of split 'val'"),
    ],
)
def test_other_data_are_refused_with_what_differs(manifest, change, told):
    with pytest.raises(ValueError, match=f"was started on: other {told}. Restore them"):
        check(manifest, dataclasses.replace(manifest, **change))


@pytest.mark.parametrize(
    "change", [{"backbone": "VGG16"}, {"weights_sha256": "1" * 64}, {"image_size": 9}, {"pooling": "max"}]
)
def test_features_of_another_encoder_are_refused(manifest, change):
    encoder = dataclasses.replace(manifest.encoder, **change)
    with pytest.raises(ValueError, match="other encoder of the features"):
        check(manifest, dataclasses.replace(manifest, encoder=encoder))


def test_another_vocabulary_is_refused(manifest):
    with pytest.raises(ValueError, match="other vocabulary"):
        check(manifest, manifest, Vocabulary([*zip(VOCABULARY.words, VOCABULARY.counts, strict=True), ("jumps", 1)]))


def test_another_configuration_is_refused_with_every_difference():
    new = dataclasses.replace(CONFIG, training=TrainingConfig(seed=2, compute_dtype="bfloat16", num_epochs=99))
    told = r"/run holds a run .* \(training.compute_dtype: 'float32' -> 'bfloat16'; training.seed: 1 -> 2\)"
    with pytest.raises(ValueError, match=told):
        resume.check_resumed("/run", (CONFIG, VOCABULARY, None), (new, VOCABULARY, None))
