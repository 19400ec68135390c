"""Whole models of the original im2txt: a checkpoint and its vocabulary to a run's folder, and a run back."""

from __future__ import annotations

import dataclasses
import os
import tempfile

from im2txt.configuration import DecodingConfig, EncoderConfig, ExperimentConfig, ShowAndTellConfig
from im2txt.model.image_encoder import ImageEncoder
from im2txt.runs import checkpoints, run_folder
from im2txt.runs.original_checkpoint import FEATURE_SIZE, original_decoder_variables, read_original_decoder
from im2txt.runs.run_folder import Run
from im2txt.system import storage
from im2txt.system.tensorflow1_checkpoint import Tensorflow1Checkpoint, write_tensorflow1_checkpoint
from im2txt.text import vocabulary
from im2txt.text.vocabulary import Vocabulary


@dataclasses.dataclass(frozen=True)
class ImportedRun:
    """What an import found.

    Attributes:
        step: updates behind the checkpoint.
        num_words: words of the vocabulary, `<UNK>` included.
        vocab_size: rows of the model's table of words.
        embedding_size: numbers per word vector.
        num_lstm_units: units of the LSTM.
    """

    step: int
    num_words: int
    vocab_size: int
    embedding_size: int
    num_lstm_units: int


def read_original_run(checkpoint_path: str, vocab_file: str) -> Run:
    """Loads a model of the original im2txt; it captions as the original did.

    It is configured as the original was: photographs sampled as TensorFlow 1 did, no word forbidden, beam 3.

    Args:
        checkpoint_path: see `Tensorflow1Checkpoint`.
        vocab_file: the word_counts.txt that belongs to the checkpoint.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if the checkpoint is damaged or of another model, or the vocabulary has more words than the model.
    """
    words = _read_vocabulary(vocab_file)
    checkpoint = Tensorflow1Checkpoint(checkpoint_path)
    decoder = read_original_decoder(checkpoint)
    if len(words) > decoder.vocab_size:
        raise ValueError(
            f"{vocab_file} has {len(words)} words with <UNK>, and 'seq_embedding/map' of {checkpoint.path} is "
            f"{[decoder.vocab_size, decoder.embedding_size]}: {decoder.vocab_size} rows. It is the vocabulary of "
            "another model; a checkpoint works only with the word_counts.txt it was trained with."
        )
    config = ExperimentConfig(
        encoder=EncoderConfig(weights=os.path.abspath(checkpoint.path), resize="legacy"),
        decoder=ShowAndTellConfig(
            embedding_size=decoder.embedding_size,
            num_lstm_units=decoder.num_lstm_units,
            vocab_size=decoder.vocab_size,
        ),
        decoding=DecodingConfig(allow_unknown=True, allow_start=True),
    )
    encoder = ImageEncoder(config.encoder)
    captioner = run_folder.build_captioner(config, words, encoder, (FEATURE_SIZE,))
    for name, variable in captioner.decoder.variables.items():
        variable.assign(decoder.weights[name])
    return Run(config, words, run_folder.ORIGINAL_TOKENIZER, captioner, decoder.step, checkpoint.path)


def import_original_run(checkpoint_path: str, vocab_file: str, workdir: str) -> ImportedRun:
    """Writes a run's folder that captions as the original im2txt did with this checkpoint.

    The run is configured as the original was: photographs sampled as TensorFlow 1 did, no word forbidden, beam 3.

    Args:
        checkpoint_path: see `Tensorflow1Checkpoint`.
        vocab_file: the word_counts.txt that belongs to the checkpoint.
        workdir: the new run's folder; absent or empty. It is there whole or not at all.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if the folder is in use, the checkpoint is damaged or of another model, or the vocabulary has more
            words than the model.
    """
    if os.path.exists(workdir) and (not os.path.isdir(workdir) or os.listdir(workdir)):
        raise ValueError(f"--workdir={workdir} is there already. Name a new folder for the imported run.")
    run = read_original_run(checkpoint_path, vocab_file)
    assert run.captioner.encoder is not None
    parent = os.path.dirname(os.path.abspath(workdir))
    os.makedirs(parent, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=storage.TEMPORARY_PREFIX, dir=parent) as folder:
        staged = os.path.join(folder, "run")
        os.makedirs(os.path.join(staged, os.path.dirname(checkpoints.ENCODER_NAME)))
        checkpoints.write_variables(os.path.join(staged, checkpoints.ENCODER_NAME), run.captioner.encoder.variables)
        checkpoints.write_best(staged, run.captioner.variables, run.step)
        storage.write_text(os.path.join(staged, vocabulary.FILE_NAME), run.vocabulary.to_text())
        storage.write_text(os.path.join(staged, run_folder.CONFIG_NAME), run.config.to_json())
        os.replace(staged, workdir)  # Over an empty folder, too.
    decoder = run.config.decoder
    assert isinstance(decoder, ShowAndTellConfig)
    return ImportedRun(
        run.step, len(run.vocabulary), decoder.vocab_size, decoder.embedding_size, decoder.num_lstm_units
    )


def export_original_checkpoint(workdir: str, path: str) -> int:
    """Writes a run's best weights as a checkpoint that the original im2txt restores, and returns their step.

    Args:
        workdir: folder of a run of Show and Tell over Inception v3.
        path: of the new checkpoint, such as `model.ckpt-2000000`.

    Raises:
        FileNotFoundError: if the folder holds no run or no checkpoint.
        ValueError: if the original has no place for the run's model, or the checkpoint is there already.
        RuntimeError: if all of the run's checkpoints are damaged.
    """
    if os.path.exists(f"{path}.index"):
        raise ValueError(f"--checkpoint={path}: {path}.index is there already. Name a new checkpoint.")
    config = run_folder.read_run_config(workdir)
    wanted = {
        "encoder.backbone": (config.encoder.backbone, "InceptionV3"),
        "encoder.pooling": (config.encoder.pooling, "avg"),
        "encoder.image_size": (config.encoder.image_size or 299, 299),
        "decoder.name": (config.decoder.name, "show_and_tell"),
        "decoder.image_input": (getattr(config.decoder, "image_input", "first"), "first"),
    }
    different = [f"{name} is {found!r}, not {needed!r}" for name, (found, needed) in wanted.items() if found != needed]
    if different:
        raise ValueError(f"The run in {workdir} is no model of the original im2txt: {'; '.join(different)}.")
    run = run_folder.load_run(workdir)
    assert run.captioner.encoder is not None  # Only runs loaded for cached features lack it.
    encoder = {name: variable.numpy() for name, variable in run.captioner.encoder.slim_variables().items()}
    decoder = {name: variable.numpy() for name, variable in run.captioner.decoder.variables.items()}
    write_tensorflow1_checkpoint(path, encoder | original_decoder_variables(decoder, run.step))
    return run.step


def _read_vocabulary(path: str) -> Vocabulary:
    if not os.path.isfile(path):
        raise FileNotFoundError(f"No vocabulary {path!r} (--vocab_file): name the model's word_counts.txt.")
    return Vocabulary.from_text(storage.read_text(path), path)
