"""A run's folder: its configuration, vocabulary and encoder, and the captioner built from them.

WORKDIR/config.json, word_counts.txt    what the run was last started with
WORKDIR/data_manifest.json              the shards it was trained on; a run of the original im2txt has none
WORKDIR/encoder/weights.*               the frozen encoder, and the file of one that is a saved Keras model
WORKDIR/checkpoints/, best/             see `checkpoints`
"""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import tensorflow as tf

from im2txt.configuration import GIVEN_FEATURES_SUFFIX, NO_WEIGHTS, EncoderConfig, ExperimentConfig
from im2txt.images.preprocessing import ImageFormat
from im2txt.model.captioner import Captioner
from im2txt.model.decoders.registry import DECODERS, check_feature_rank
from im2txt.model.image_encoder import ImageEncoder, backbone_image_size
from im2txt.runs import checkpoints
from im2txt.runs.kept_backbone import kept_backbone
from im2txt.runs.resume import check_resumed
from im2txt.runs.run_files import CONFIG_NAME, DATA_NAME, read_run_config
from im2txt.shards.manifest import EncoderEntry, Manifest
from im2txt.system import storage
from im2txt.text import vocabulary
from im2txt.text.vocabulary import Vocabulary

ORIGINAL_TOKENIZER = "treebank"
"""Of the original im2txt, for runs that came from it."""
FEATURE_ENCODER_NAME = "encoder"
"""A folder of feature shards holds its encoder's weights in `encoder.index` and `encoder.data-*`."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A trained run, loaded.

    Attributes:
        config: as the run was last started.
        vocabulary: the run's own.
        tokenizer: name of the tokenizer of its training captions.
        captioner: with the checkpoint's weights.
        step: updates behind the checkpoint.
        checkpoint: its path.
    """

    config: ExperimentConfig
    vocabulary: Vocabulary
    tokenizer: str
    captioner: Captioner
    step: int
    checkpoint: str

    @property
    def image_format(self) -> ImageFormat:
        """How photographs are prepared for the run's encoder; ValueError if it was loaded without."""
        if self.captioner.encoder is None:
            raise ValueError("The run was loaded for the features of photographs, not for photographs.")
        return self.captioner.encoder.image_format


def build_captioner(
    config: ExperimentConfig,
    words: Vocabulary,
    encoder: ImageEncoder | None,
    feature_shape: tuple[int, ...],
    word_counts: np.ndarray | None = None,
) -> Captioner:
    """Builds a captioner with initial weights; call it under the strategy's scope.

    Args:
        config: decoder, seed and compute dtype.
        words: the decoder's, unless `decoder.vocab_size` leaves rows to spare.
        encoder: None if batches hold features.
        feature_shape: of one photograph's features: (F,) or (P, C).
        word_counts: int [len(words)], for `decoder.log_frequency_bias`.

    Raises:
        ValueError: if the vocabulary has more words than `decoder.vocab_size` rows, or the decoder cannot look at such
            features.
    """
    check_feature_rank(config.decoder.name, len(feature_shape))
    vocab_size = config.decoder.vocab_size or len(words)
    if vocab_size < len(words):
        raise ValueError(
            f"decoder.vocab_size={vocab_size}: the vocabulary has {len(words)} words. Use 0, or at least as many."
        )
    if word_counts is not None:
        word_counts = np.pad(word_counts, (0, vocab_size - len(words)))
    decoder = DECODERS[config.decoder.name](
        config.decoder,
        vocab_size,
        feature_shape,
        config.training.seed,
        word_counts,
        tf.dtypes.as_dtype(config.training.compute_dtype),
    )
    return Captioner(encoder, decoder)


def check_run(workdir: str, config: ExperimentConfig, data: Manifest, words: Vocabulary) -> ExperimentConfig | None:
    """Checks that the run in a folder may go on with these; writes nothing.

    Returns:
        The configuration it was last started with; None if there is no run.

    Raises:
        ValueError: if the folder's run had other shards, another vocabulary or another configuration (`resume` says
            what may change); if TensorFlow has no way to write there.
    """
    _check_reachable(workdir)
    manifest_path = storage.join(workdir, DATA_NAME)
    if not storage.exists(storage.join(workdir, CONFIG_NAME)):
        return None
    if not storage.exists(manifest_path):
        raise ValueError(
            f"The run in {workdir} was not trained here (it has no {DATA_NAME}), so training cannot go on in it. "
            f"Name a new --workdir, and --config.training.start_from={workdir} for its weights."
        )
    old_data = Manifest.from_json(storage.read_text(manifest_path), manifest_path)
    earlier = read_run_config(workdir)
    check_resumed(workdir, (earlier, read_run_vocabulary(workdir), old_data), (config, words, data))
    return earlier


def start_run(workdir: str, config: ExperimentConfig, data: Manifest, words: Vocabulary) -> None:
    """Makes the run's folder, or notes what an old one goes on with.

    Raises:
        ValueError: as `check_run`.
    """
    check_run(workdir, config, data, words)
    storage.make_directory(workdir)
    storage.write_text(storage.join(workdir, vocabulary.FILE_NAME), words.to_text())
    storage.write_text(storage.join(workdir, DATA_NAME), data.to_json())
    storage.write_text(storage.join(workdir, CONFIG_NAME), config.to_json())  # Last: now it is a run.


def _check_reachable(workdir: str) -> None:
    """Checkpoints are TensorFlow's to write, everything else goes through `storage`: both must know the protocol."""
    protocol, _, _ = workdir.partition("://")
    known = sorted(filter(None, tf.io.gfile.get_registered_schemes()))
    if storage.is_remote(workdir) and protocol not in known:
        raise ValueError(
            f"--workdir={workdir}: TensorFlow cannot write checkpoints to {protocol}://, only to local folders and "
            f"{', '.join(f'{name}://' for name in known)}."
        )


def read_run_vocabulary(workdir: str) -> Vocabulary:
    """Reads the run's word_counts.txt.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: if it is damaged.
    """
    path = storage.join(workdir, vocabulary.FILE_NAME)
    return Vocabulary.from_text(storage.read_text(path), path)


def check_vocabulary(of_run: Vocabulary, of_data: Vocabulary, workdir: str) -> None:
    """Raises ValueError if the shards' words are not the run's: their ids would name other words."""
    if of_run.fingerprint() != of_data.fingerprint():
        raise ValueError(
            f"The shards' vocabulary ({len(of_data)} words) is not the one of {workdir} ({len(of_run)} words). Build "
            f"the shards with --vocabulary_file={os.path.join(workdir, vocabulary.FILE_NAME)}."
        )


def check_features(entry: EncoderEntry, config: EncoderConfig) -> None:
    """Raises ValueError if feature shards were made by another encoder than the configuration's."""
    wanted = {
        "backbone": (entry.backbone, config.backbone_name),
        "weights": (entry.weights, config.weights_name),
        "image_size": (entry.image_size, _image_size(entry, config)),
        "crop_fraction": (round(entry.crop_fraction, 6), round(config.crop_fraction, 6)),
        "pooling": (entry.pooling, config.pooling),
        "resize": (entry.resize, config.resize),
    }
    if config.is_given_features:  # Nothing else is known of what made them.
        wanted = {"backbone": wanted["backbone"]}
    different = [f"{name} is {made!r}, not {asked!r}" for name, (made, asked) in wanted.items() if made != asked]
    if different or config.trainable:
        reason = "; ".join(different) or "an encoder that is trained cannot be cached"
        if entry.backbone.endswith(GIVEN_FEATURES_SUFFIX):
            raise ValueError(
                f"The feature shards are of the features in {entry.backbone}: {reason}. Say so with "
                f"--config.encoder.backbone={entry.backbone}, and leave encoder.trainable=False."
            )
        raise ValueError(
            f"The feature shards do not fit the configuration's encoder: {reason}. Make them again with "
            "`python -m data_prep.cache_features` and this configuration, or train on the photographs' shards."
        )


def _image_size(entry: EncoderEntry, config: EncoderConfig) -> int:
    of_file = config.is_saved_model or config.is_given_features
    return config.image_size or (entry.image_size if of_file else backbone_image_size(config))


def load_run(workdir: str, data: Manifest | None = None, checkpoint: str = "") -> Run:
    """Loads a run's best checkpoint, or another one.

    Args:
        workdir: the run's folder.
        data: manifest of the shards that will be read, if any; with cached features the encoder is not built.
        checkpoint: path of one of the run's; empty takes the best.

    Raises:
        FileNotFoundError: if the folder holds no run or no checkpoint.
        ValueError: if its parts, or the shards, do not belong together.
        RuntimeError: if all of its checkpoints are damaged.
    """
    config = read_run_config(workdir)
    checkpoint = checkpoint or checkpoints.find_checkpoint(workdir)
    words = read_run_vocabulary(workdir)
    if data is not None and data.encoder is not None:
        check_features(data.encoder, config.encoder)
        encoder, feature_shape = None, data.encoder.feature_shape
    else:
        built = dataclasses.replace(kept_backbone(workdir, config.encoder), weights=NO_WEIGHTS, compute_dtype="float32")
        encoder = ImageEncoder(built)
        feature_shape = encoder.feature_shape
        if not config.encoder.trainable:
            checkpoints.read_variables(os.path.join(workdir, checkpoints.ENCODER_NAME), encoder.variables)
    float32 = dataclasses.replace(config, training=dataclasses.replace(config.training, compute_dtype="float32"))
    captioner = build_captioner(float32, words, encoder, feature_shape, np.zeros(len(words)))
    step = checkpoints.restore_model(checkpoint, captioner.variables)
    return Run(config, words, _tokenizer(workdir), captioner, step, checkpoint)


def _tokenizer(workdir: str) -> str:
    path = storage.join(workdir, DATA_NAME)
    return Manifest.from_json(storage.read_text(path), path).tokenizer if storage.exists(path) else ORIGINAL_TOKENIZER
