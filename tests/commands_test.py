"""Tests of the commands from end to end: train, score, caption, cache features, train on those, and what goes wrong."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import google_crc32c
import pytest
import tensorflow as tf
from fakes import VOCABULARY, jpeg, write_dataset

from im2txt.configuration import ExperimentConfig
from im2txt.system import command_line
from im2txt.text.vocabulary import Vocabulary

ROOT = Path(__file__).parent.parent
TRAIN, EVALUATE, RUN_INFERENCE = "im2txt.train", "im2txt.evaluate", "im2txt.run_inference"
EXPORT, REPORT, SERVE = "im2txt.export", "im2txt.report", "im2txt.serve"
IMPORT_CHECKPOINT, EXPORT_CHECKPOINT = "im2txt.import_checkpoint", "im2txt.export_checkpoint"
CACHE_FEATURES, VERIFY_DATA = "data_prep.cache_features", "data_prep.verify_data"
SMALL = (
    "--config=flickr8k",
    "--config.encoder.backbone=SmallCNN",
    "--config.encoder.weights=none",
    "--config.encoder.image_size=32",
    "--config.decoder.embedding_size=16",
    "--config.decoder.num_lstm_units=16",
    "--config.input.batch_size=4",
    "--config.input.distort_images=False",
    "--config.optimization.learning_rate=0.02",
    "--config.optimization.warmup_steps=2",
    "--config.training.num_epochs=2",
    "--config.training.log_every_steps=5",
)


def start(module, *flags, **environment):
    """Runs a command as a person does, in a process of its own."""
    path = os.pathsep.join(filter(None, [environment.get("PYTHONPATH"), str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-m", module, *flags],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
        | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def succeed(module, *flags):
    """Runs a command in a process of its own and returns its standard output."""
    done = start(module, *flags)
    assert done.returncode == 0, done.stderr
    for noise in ("Traceback", "oneDNN", "cuInit", "absl::InitializeLog"):
        assert noise not in done.stderr
    return done.stdout


@pytest.fixture
def here(monkeypatch, capsys):
    """Runs a command in this process, which has TensorFlow loaded already."""
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    monkeypatch.delenv("BUILD_WORKING_DIRECTORY", raising=False)

    def run(module, *flags):
        monkeypatch.setattr(sys, "argv", [module, *flags])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            command_line.run(importlib.import_module(module).main)
        out, err = capsys.readouterr()
        return types.SimpleNamespace(status=stop.value.code, out=out, err=err)

    return run


@pytest.fixture
def refused(here):
    """Runs a command that must fail in this process and returns its one line."""

    def run(module, *flags):
        ended = here(module, *flags)
        assert ended.status == 1, ended.out + ended.err
        *before, last = ended.err.splitlines()
        assert last.startswith("error: ")
        assert not [line for line in before if "rror" in line or "Traceback" in line]
        return last

    return run


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "shards", {"train": 8, "val": 2, "test": 3}, (5, 4))


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A finished run: its folder, and what the command printed."""
    workdir = tmp_path_factory.mktemp("run") / "workdir"
    printed = succeed(TRAIN, *SMALL, f"--workdir={workdir}", f"--config.input.data_dir={data.data_dir}")
    return types.SimpleNamespace(workdir=workdir, printed=printed)


@pytest.fixture(scope="module")
def scored(trained):
    """What the evaluation of the run printed and wrote."""
    printed = succeed(EVALUATE, f"--workdir={trained.workdir}")
    return types.SimpleNamespace(printed=printed, **read_scores(trained.workdir / "evaluation" / "test"))


@pytest.fixture(scope="module")
def features(trained, data, tmp_path_factory):
    """The folder of features that the run's own encoder gives."""
    folder = tmp_path_factory.mktemp("features") / "shards"
    printed = succeed(
        CACHE_FEATURES,
        f"--config={trained.workdir}/config.json",
        f"--data_dir={data.data_dir}",
        f"--output_dir={folder}",
    )
    assert printed == f"Features [128] of 13 photographs in {folder}.\n"
    return folder


@pytest.fixture(scope="module")
def photographs(data, tmp_path_factory):
    """The test split's photographs as files, named by their ids."""
    folder = tmp_path_factory.mktemp("photographs")
    for image_id in data.caption_ids["test"]:
        (folder / f"{image_id}.jpg").write_bytes(jpeg(image_id))
    return folder


def read_scores(folder):
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in ("scores", "captions", "candidates")}


def figures(workdir, kind):
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["kind"] == kind]


@pytest.fixture(scope="module")
def no_tensorflow(tmp_path_factory):
    """A place for PYTHONPATH where an import of TensorFlow ends the process."""
    folder = tmp_path_factory.mktemp("trap")
    (folder / "tensorflow.py").write_text("raise SystemExit('TensorFlow was imported.')\n")
    return str(folder)


@pytest.mark.parametrize(
    ("module", "flags", "wrong", "told"),
    [
        (TRAIN, [*SMALL, "--workdir=x"], "--config.training.num_epoch=3", "--config.training.num_epochs FLOAT"),
        (EVALUATE, ["--workdir=x"], "--beam_size=0", "decoding.beam_size=0: must be"),
        (RUN_INFERENCE, ["--workdir=x", "y"], "--format=xml", "'xml'"),
        (CACHE_FEATURES, [*SMALL, "--data_dir=x", "--output_dir=y"], "--batch_size=0", "batch_size=0: must be at"),
        (SERVE, ["--model=x"], "--queue_size=0", "--queue_size=0 must be above 0"),
    ],
)
def test_a_wrong_flag_is_named_before_tensorflow_is_imported(no_tensorflow, module, flags, wrong, told):
    refused = start(module, *flags, wrong, PYTHONPATH=no_tensorflow)
    assert refused.returncode == 2
    assert told in " ".join(refused.stderr.replace("│", " ").split())
    assert wrong.partition("=")[0].lstrip("-").split(".")[-1] in refused.stderr
    assert "TensorFlow was imported" not in refused.stderr


@pytest.mark.parametrize(
    ("module", "flags", "told"),
    [
        (TRAIN, [*SMALL, "--workdir={run}", "--config.input.data_dir=x"], "No manifest.json in 'x'"),
        (TRAIN, [*SMALL, "--workdir={run}", "--config.input.data_dir={data}", "--config.input.val_split=z"], "'z'"),
        (TRAIN, [*SMALL, "--workdir={file}", "--config.input.data_dir={data}"], "--workdir={file}: {file} is a file,"),
        (EVALUATE, ["--workdir=x"], "No x/config.json: 'x' is no run of im2txt.train."),
        (EVALUATE, ["--workdir={file}"], "{file} is a file; a run is the folder that im2txt.train was given"),
        (EVALUATE, ["--workdir={run}", "--split=z"], "Split 'z' is not in the manifest"),
        (EVALUATE, ["--workdir={run}", "--output_dir={file}/x"], "--output_dir={file}/x: {file} is a file, not a"),
        (RUN_INFERENCE, ["--workdir=x", "{file}"], "No x/config.json: 'x' is no run of im2txt.train."),
        (RUN_INFERENCE, ["--workdir={run}", "no/such.jpg"], "No photograph matches 'no/such.jpg'."),
        (CACHE_FEATURES, [*SMALL, "--data_dir=x", "--output_dir=y"], "No manifest.json in 'x'"),
        (CACHE_FEATURES, [*SMALL, "--data_dir={data}", "--output_dir={file}"], "--output_dir={file}: {file} is a file"),
        (EXPORT, ["--workdir=x", "--output_dir=y"], "No x/config.json: 'x' is no run of im2txt.train."),
        (EXPORT, ["--workdir={run}", "--output_dir={data}"], "--output_dir={data} is there already. Name a new folder"),
        (EXPORT, ["--workdir={run}", "--output_dir="], "--output_dir is empty: name a folder."),
        (IMPORT_CHECKPOINT, ["--checkpoint=x", "--vocab_file=y", "--workdir=z"], "--vocab_file=y is not there."),
        (EXPORT_CHECKPOINT, ["--workdir=x", "--checkpoint=y"], "No x/config.json: 'x' is no run of im2txt.train."),
        (REPORT, ["--workdir=x"], "is no run of im2txt.train."),
        (SERVE, ["--model=x"], "x is not there; name the folder that `python -m im2txt.export` wrote."),
        (SERVE, ["--model={run}"], "{run} is no exported model, or half of one: saved_model.pb, variables/variables"),
        (VERIFY_DATA, ["--data_dir=x", "--decode_images"], "No manifest.json in 'x'"),
    ],
)
def test_a_wrong_path_is_named_before_tensorflow_is_imported(no_tensorflow, trained, data, module, flags, told):
    places = {"run": trained.workdir, "data": data.data_dir, "file": __file__}
    refused = start(module, *(flag.format(**places) for flag in flags), PYTHONPATH=no_tensorflow)
    assert refused.stderr.startswith("error: ")
    assert told.format(**places) in refused.stderr
    assert refused.returncode == 1
    assert "TensorFlow was imported" not in refused.stderr


def test_right_flags_and_paths_lead_to_tensorflow(no_tensorflow, trained, photographs):
    flags = [f"--workdir={trained.workdir}", str(photographs)]
    assert start(RUN_INFERENCE, *flags, PYTHONPATH=no_tensorflow).stderr == "TensorFlow was imported.\n"


def test_training_tells_its_progress_and_keeps_the_best_checkpoint(trained, data):
    # 8 photographs with 5 or 4 captions: 36 captions an epoch, 4 a step.
    lines = trained.printed.splitlines()
    assert lines[0].startswith("Starting at step 0 of 18 (2 epochs of 9.0 steps), 1 replica(s), 8 words, workdir ")
    assert [line.split(" | ")[:2] for line in lines[1:-1]] == [
        ["train", "step 5"],
        ["val  ", "step 9"],
        ["train", "step 10"],
        ["train", "step 15"],
        ["train", "step 18"],
        ["val  ", "step 18"],
    ]
    best = min(figures(trained.workdir, "val"), key=lambda row: row["perplexity"])
    assert lines[-1] == f"Best checkpoint: {trained.workdir}/best/ckpt-{best['step']}"
    assert best["perplexity"] < 8  # A model that knows nothing is lost among 8 words.
    config = ExperimentConfig.from_json((trained.workdir / "config.json").read_text())
    assert config.encoder.image_size == 32
    assert config.input.data_dir == data.data_dir


def test_training_goes_on_where_it_was(trained, data, tmp_path, here):
    workdir = tmp_path / "copy"
    shutil.copytree(trained.workdir, workdir)
    flags = [*SMALL, f"--workdir={workdir}", f"--config.input.data_dir={data.data_dir}"]
    again = here(TRAIN, *flags)
    assert again.status == 0, again.err
    assert again.out.startswith(f"The run in {workdir} has finished at step 18 of 18: no step is left.\n")
    longer = here(TRAIN, *flags, "--config.training.num_epochs=3")
    assert longer.status == 0, longer.err
    told = longer.out.splitlines()
    assert told[0].startswith("Resuming at step 18 of 27 ")
    assert told[1] == "The run had 18 steps and had finished them; now it goes on to 27."
    assert [row["step"] for row in figures(workdir, "val")] == [9, 18, 27]
    assert [row["step"] for row in figures(workdir, "train")] == [5, 10, 15, 18, 20, 25, 27]


def test_evaluation_scores_every_photograph_of_the_split(scored, data):
    ids = list(data.caption_ids["test"])
    assert [entry["image_id"] for entry in scored.captions] == ids
    assert [entry["file_name"] for entry in scored.candidates] == [f"{image_id}.jpg" for image_id in ids]
    for entry, all_candidates in zip(scored.captions, scored.candidates, strict=True):
        assert entry["caption"] == all_candidates["captions"][0]["words"]
        assert 1 <= len(all_candidates["captions"]) <= 3
    assert scored.scores["num_images"] == len(ids)
    assert scored.scores["beam_size"] == 3
    assert 1 < scored.scores["perplexity"] < 16
    assert f"perplexity {scored.scores['perplexity']:.3f} per word" in scored.printed
    for name, value in scored.scores["scores"].items():
        assert 0 <= value <= 10
        assert f"{name:24}{value:10.4f}" in scored.printed


def test_what_evaluation_wrote_is_shown_word_by_word_with_its_scores(trained, scored, tmp_path):
    page = tmp_path / "page.html"
    printed = succeed("im2txt.report", f"--workdir={trained.workdir}", "--split=test", f"--output_html={page}")
    assert printed == f"{page}: {len(scored.candidates)} photographs of test.\n"
    shown = json.loads(page.read_text().partition('id="data">')[2].partition("</script>")[0])["images"]
    for image, entry in zip(shown, scored.candidates, strict=True):
        assert image["name"] == entry["file_name"]
        assert image["address"].startswith("data:image/jpeg")
        assert image["references"]
        assert {"CIDEr-D", "ROUGE-L"} <= set(image["scores"])
        for caption, written in zip(image["captions"], entry["captions"], strict=True):
            assert sum(caption["wordLogProbs"]) == pytest.approx(written["log_prob"], abs=0.01)
            assert len(caption["wordLogProbs"]) == len(written["words"].split()) + written["is_complete"]


def test_evaluation_takes_another_split_folder_and_beam(trained, tmp_path, here):
    flags = [f"--workdir={trained.workdir}", "--split=val", f"--output_dir={tmp_path}/a/b", "--beam_size=1"]
    ended = here(EVALUATE, *flags, "--max_caption_length=3", "--batch_size=1")
    assert ended.status == 0, ended.err
    result = read_scores(tmp_path / "a" / "b")
    assert (result["scores"]["split"], result["scores"]["beam_size"]) == ("val", 1)
    assert len(result["captions"]) == 2
    for entry in result["candidates"]:
        assert len(entry["captions"]) == 1
        assert len(entry["captions"][0]["words"].split()) <= 2  # Besides <S>, or one word and </S>.


def test_captions_of_any_program_are_scored_without_tensorflow(tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise ImportError('there is no TensorFlow here')")
    captions = {1: ["a dog runs", "one dog"], 2: ["two red cats", "cats in the sun"]}
    annotations = [{"image_id": i, "caption": caption} for i, both in captions.items() for caption in both]
    files = {
        "references": {"images": [{"id": i} for i in captions], "annotations": annotations},
        "results": [{"image_id": 1, "caption": "a dog runs"}, {"image_id": 2, "caption": "a bus stops"}],
    }
    for name, content in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    flags = [f"--{name}={tmp_path}/{name}.json" for name in files]
    done = start(EVALUATE, *flags, f"--output_dir={tmp_path}/out", PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "BLEU-1                      0.5000" in done.stdout  # a, dog, runs of six words
    assert json.loads((tmp_path / "out" / "scores.json").read_text())["num_images"] == 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "Give either --workdir, a run to be scored, or --results"),
        (["--workdir=a", "--results=b", "--references=c"], "Give either --workdir, a run to be scored, or --results"),
        (["--results=b"], "--results and --references belong together"),
        (["--workdir=a", "--references=c"], "--results and --references belong together"),
        (["--workdir=a", "--training_references=c"], "--training_references is for --results"),
        (
            ["--results=b", "--references=c", "--beam_size=2", "--data_dir=d", "--num_workers=2", "--split=val"],
            "split, data_dir, num_workers, beam_size: --results are captions",
        ),
    ],
)
def test_evaluate_refuses_flags_that_do_not_go_together(flags, message, here):
    ended = here(EVALUATE, *flags)
    assert ended.status == 2
    assert message in " ".join(ended.err.replace("│", " ").split())


def captions_by_name(json_lines):
    return {
        Path(entry["file"]).name: [(c["caption"], c["log_prob"]) for c in entry["captions"]]
        for entry in map(json.loads, json_lines.splitlines())
    }


def assert_same_captions(one, other):
    assert list(one) == list(other)
    for name in one:
        assert [caption for caption, _ in one[name]] == [caption for caption, _ in other[name]]
        assert [p for _, p in one[name]] == pytest.approx([p for _, p in other[name]], abs=1e-3)


def test_files_get_the_captions_that_their_shards_get(trained, scored, photographs):
    printed = succeed(RUN_INFERENCE, f"--workdir={trained.workdir}", f"--input_files={photographs}", "--format=jsonl")
    of_shards = {
        entry["file_name"]: [(c["caption"], c["log_prob"]) for c in entry["captions"]] for entry in scored.candidates
    }
    of_files = captions_by_name(printed)
    assert_same_captions(of_files, {name: of_shards[name] for name in of_files})
    assert len(of_files) == len(of_shards)


def test_an_exported_run_writes_the_captions_of_the_run(trained, photographs, tmp_path):
    folder = tmp_path / "captioner"
    flags = [f"--workdir={trained.workdir}", f"--output_dir={folder}", "--beam_size=2", "--tflite"]
    exported, converted = succeed("im2txt.export", *flags).splitlines()
    assert exported.startswith(f"{folder}: step ")
    assert (folder / "captioner.tflite").stat().st_size > 10_000
    assert converted == f"{folder}/captioner.tflite"
    files = sorted(photographs.iterdir())
    encoded = tf.constant([path.read_bytes() for path in files])
    result = tf.saved_model.load(str(folder)).signatures["serving_default"](encoded_images=encoded)
    lines = succeed(
        RUN_INFERENCE,
        f"--workdir={trained.workdir}",
        f"--input_files={photographs}",
        "--format=jsonl",
        "--beam_size=2",
    ).splitlines()
    for captions, line in zip(result["captions"].numpy(), lines, strict=True):
        expected = [candidate["caption"] for candidate in json.loads(line)["captions"]]
        assert [caption.decode() for caption in captions[: len(expected)]] == expected


def test_shards_are_captioned_as_their_photographs_are_and_can_be_scored(trained, data, scored, tmp_path):
    folder = tmp_path / "captions"
    printed = succeed(
        "im2txt.batch_inference",
        data.data_dir,
        f"--workdir={trained.workdir}",
        f"--output_dir={folder}",
        "--num_workers=2",
    )
    assert printed.startswith("13 of 13 photographs of 9 files captioned. ")
    of_test = {row["image_id"]: row["caption"] for row in scored.captions}
    found = {row["image_id"]: row["caption"] for row in json.loads((folder / "captions.json").read_text())}
    assert {image_id: found[image_id] for image_id in of_test} == of_test


def test_captions_are_printed_with_their_probability_and_bad_files_named(trained, photographs, tmp_path, here):
    good = next(photographs.iterdir())
    (tmp_path / "bad.jpg").write_bytes(good.read_bytes()[:-50])
    ended = here(
        RUN_INFERENCE,
        f"--workdir={trained.workdir}",
        f"--input_files={tmp_path}/bad.jpg,{good}",
        "--beam_size=2",
        "--batch_size=1",
    )
    assert ended.status == 1
    bad, first, *captions = ended.out.splitlines()
    assert bad.startswith(f"No captions for {tmp_path}/bad.jpg: truncated: ")
    assert first == f"Captions for {good}:"
    assert [caption[:5] for caption in captions] == ["  0) ", "  1) "]
    chances = [float(caption.rpartition("(p=")[2].rstrip(")")) for caption in captions]
    assert 1 > chances[0] >= chances[1] > 0
    assert ended.err.splitlines()[-1] == "1 of 2 photographs could not be captioned."


def test_a_run_on_features_equals_the_run_on_their_photographs(trained, scored, features, photographs, tmp_path, here):
    workdir = tmp_path / "on_features"
    ended = here(
        TRAIN, f"--config={trained.workdir}/config.json", f"--config.input.data_dir={features}", f"--workdir={workdir}"
    )
    assert ended.status == 0, ended.err
    for kind in ("train", "val"):
        for expected, row in zip(figures(trained.workdir, kind), figures(workdir, kind), strict=True):
            assert row["loss"] == pytest.approx(expected["loss"], rel=1e-2)

    ended = here(EVALUATE, f"--workdir={workdir}")
    assert ended.status == 0, ended.err
    result = read_scores(workdir / "evaluation" / "test")
    assert result["scores"]["perplexity"] == pytest.approx(scored.scores["perplexity"], rel=1e-2)

    ended = here(RUN_INFERENCE, f"--workdir={workdir}", f"--input_files={photographs}", "--format=jsonl")
    assert ended.status == 0, ended.err
    of_features = {
        entry["file_name"]: [(c["caption"], c["log_prob"]) for c in entry["captions"]] for entry in result["candidates"]
    }
    of_files = captions_by_name(ended.out)
    assert_same_captions(of_files, {name: of_features[name] for name in of_files})


@pytest.fixture
def broken(data, tmp_path):
    """A copy of the shards, to be damaged."""
    folder = tmp_path / "broken"
    shutil.copytree(data.data_dir, folder)
    return folder


def train_flags(data_dir, workdir):
    return [*SMALL, f"--config.input.data_dir={data_dir}", f"--workdir={workdir}"]


def test_a_missing_shard_is_named(broken, trained, tmp_path, refused):
    (broken / "train-00001-of-00003").unlink()
    missing = f"error: Found 2 of 3 shards for {broken}/train-?????-of-00003; missing 00001. Run `python -m data_prep"
    assert refused(TRAIN, *train_flags(broken, tmp_path / "run")).startswith(missing)
    flags = [f"--data_dir={broken}", f"--output_dir={tmp_path}/features"]
    assert refused(CACHE_FEATURES, *SMALL, *flags).startswith(missing)
    flags = [f"--workdir={trained.workdir}", f"--data_dir={broken}", f"--output_dir={tmp_path}"]
    assert refused(EVALUATE, "--split=train", *flags).startswith(missing)


def test_a_shard_cut_short_is_named(broken, tmp_path, refused):
    shard = broken / "train-00002-of-00003"
    size = shard.stat().st_size
    os.truncate(shard, size - 10)
    told = f"error: {shard} has {size - 10} bytes, its manifest says {size}: the shard is damaged. Run `python -m "
    assert refused(TRAIN, *train_flags(broken, tmp_path / "run")).startswith(told)


def test_a_shard_with_flipped_bits_is_an_error_of_the_data(broken, trained, tmp_path, refused):
    for shard in (*broken.glob("train-*"), *broken.glob("test-*")):
        damaged = bytearray(shard.read_bytes())
        damaged[len(damaged) // 2] ^= 0xFF
        shard.write_bytes(damaged)
    told = f"error: A shard is damaged: {broken}/"
    assert refused(TRAIN, *train_flags(broken, tmp_path / "run")).startswith(f"{told}train-00000-of-00003, record ")
    flags = [f"--data_dir={broken}", f"--output_dir={tmp_path}/scores"]
    line = refused(EVALUATE, f"--workdir={trained.workdir}", *flags)
    assert line.startswith(f"{told}test-00000-of-00003, record ")
    assert "`python -m data_prep.verify_data" in line
    assert "max_damaged_records" not in line


def test_training_goes_on_without_damaged_records_where_so_many_are_allowed(broken, tmp_path, here, refused):
    for shard in broken.glob("train-*"):
        damaged = bytearray(shard.read_bytes())
        damaged[len(damaged) // 2] ^= 0xFF
        shard.write_bytes(damaged)
    flags = train_flags(broken, tmp_path / "run")
    assert "give --config.input.max_damaged_records=N" in refused(TRAIN, *flags)
    line = refused(TRAIN, *flags, "--config.input.max_damaged_records=2")
    assert line.startswith(
        "error: 3 records of split 'train' are damaged, input.max_damaged_records=2 leaves out no more"
    )
    ended = here(TRAIN, *flags, "--config.input.max_damaged_records=3")
    assert ended.status == 0, ended.err
    assert "Left out: 3 damaged records of at most 3:" in ended.out
    for shard in broken.glob("train-*"):
        assert f"{shard}, record " in ended.out


def test_a_record_that_claims_more_bytes_than_there_are_does_not_end_the_process(broken, tmp_path, refused):
    shard = broken / "train-00001-of-00003"
    length = (2**62).to_bytes(8, "little")
    crc = google_crc32c.value(length)
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    shard.write_bytes(length + masked.to_bytes(4, "little") + shard.read_bytes()[12:])
    line = refused(TRAIN, *train_flags(broken, tmp_path / "run"))
    assert line.startswith(f"error: {shard} is damaged: record 0 at byte 0 claims 4611686018427387904 bytes")


def test_the_validation_split_is_checked_before_training(broken, tmp_path, refused):
    flags = train_flags(broken, tmp_path / "run")
    assert refused(TRAIN, *flags, "--config.input.val_split=valid").startswith("error: Split 'valid' is not in the man")
    (broken / "val-00000-of-00003").unlink()
    assert "/val-?????-of-00003; missing 00000" in refused(TRAIN, *flags)
    assert not (tmp_path / "run").exists()


def test_unfinished_shards_are_refused_with_the_command_that_finishes_them(broken, tmp_path, refused):
    (broken / "manifest.json").unlink()
    line = refused(TRAIN, *train_flags(broken, tmp_path / "run"))
    assert line.startswith(f"error: No manifest.json in '{broken}'")
    assert "python -m data_prep.build_shards" in line
    assert refused(TRAIN, *SMALL, f"--workdir={tmp_path}/run").startswith("error: input.data_dir is empty. Name the")
    assert not (tmp_path / "run").exists()


def test_the_vocabulary_of_another_run_is_refused(broken, trained, tmp_path, refused):
    words = Vocabulary([*zip(VOCABULARY.words[:-1], VOCABULARY.counts[:-1], strict=True), ("jumps", 1)])
    (broken / "word_counts.txt").write_text(words.to_text())
    flags = [f"--workdir={trained.workdir}", f"--data_dir={broken}", f"--output_dir={tmp_path}/scores"]
    line = refused(EVALUATE, *flags)
    assert line.startswith(f"error: {broken}/word_counts.txt is not the vocabulary these shards were written with")
    path = broken / "manifest.json"
    path.write_text(path.read_text().replace(VOCABULARY.fingerprint(), words.fingerprint()))
    line = refused(EVALUATE, *flags)
    assert line.startswith(f"error: The shards' vocabulary (9 words) is not the one of {trained.workdir} (8 words). ")
    assert f"--vocabulary_file={trained.workdir}/word_counts.txt" in line


def test_features_of_another_encoder_are_refused(features, trained, tmp_path, refused):
    line = refused(TRAIN, *train_flags(features, tmp_path / "run"), "--config.encoder.pooling=max")
    assert line.startswith(
        "error: The feature shards do not fit the configuration's encoder: pooling is 'avg', not 'max'. Make them again"
    )
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written_is_named(data, trained, tmp_path, refused):
    (tmp_path / "file").write_text("no folder")
    below = f"{tmp_path}/file/run"
    assert below in refused(TRAIN, *train_flags(data.data_dir, below))
    assert below in refused(CACHE_FEATURES, *SMALL, f"--data_dir={data.data_dir}", f"--output_dir={below}")
    assert below in refused(EVALUATE, f"--workdir={trained.workdir}", f"--output_dir={below}")


def test_a_folder_that_holds_no_run_is_named(photographs, trained, tmp_path, refused):
    message = f"error: No {tmp_path}/config.json: '{tmp_path}' is no run of im2txt.train."
    assert refused(EVALUATE, f"--workdir={tmp_path}") == message
    assert refused(RUN_INFERENCE, f"--workdir={tmp_path}", f"--input_files={photographs}") == message
    untrained = tmp_path / "untrained"
    shutil.copytree(trained.workdir, untrained, ignore=shutil.ignore_patterns("best", "checkpoints"))
    assert refused(EVALUATE, f"--workdir={untrained}").startswith(f"error: No checkpoint in {untrained}/best or ")


def test_what_was_asked_for_and_is_not_there_is_named(trained, refused):
    workdir = f"--workdir={trained.workdir}"
    line = refused(EVALUATE, workdir, "--split=tests")
    assert line == "error: Split 'tests' is not in the manifest, which holds ['test', 'train', 'val']."
    assert refused(RUN_INFERENCE, workdir, "--input_files=/no/such.jpg") == (
        "error: No photograph matches '/no/such.jpg'."
    )


def test_a_workdir_of_another_configuration_is_refused_with_the_difference(trained, data, refused):
    line = refused(TRAIN, *train_flags(data.data_dir, trained.workdir), "--config.decoder.num_lstm_units=17")
    assert line.startswith(f"error: {trained.workdir} holds a run of another configuration (decoder.num_lstm_units: 16")


def test_a_report_of_a_split_that_was_not_scored_leaves_the_page_as_it_is(trained, scored, refused):
    (trained.workdir / "report.html").write_text("The good page.")
    line = refused(REPORT, f"--workdir={trained.workdir}", "--split=tset")
    assert line.startswith("error: 'tset' was not evaluated: ")
    assert f"python -m im2txt.evaluate --workdir={trained.workdir} --split=tset" in line
    assert (trained.workdir / "report.html").read_text() == "The good page."
    assert not (trained.workdir / "evaluation" / "tset").exists()
