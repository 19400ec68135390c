"""A training run from its parts: shards, devices, model, checkpoints and figures, built once and handed to the loop."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from im2txt.configuration import NO_WEIGHTS, ExperimentConfig
from im2txt.model.decoders.registry import check_feature_rank
from im2txt.model.image_encoder import ImageEncoder
from im2txt.runs import checkpoints, run_folder
from im2txt.runs.frozen_encoder import keep_encoder, keep_feature_encoder
from im2txt.runs.initial_weights import load_initial_weights
from im2txt.runs.kept_backbone import keep_backbone, kept_backbone
from im2txt.runs.metric_writer import MetricWriter
from im2txt.runs.sample_captions import drop_later_samples
from im2txt.shards.example_sequence import examples_per_epoch
from im2txt.shards.input_pipeline import training_batches
from im2txt.shards.left_out_records import ADVICE, leave_out_damage
from im2txt.shards.long_captions import long_captions_named
from im2txt.shards.shard_folder import ShardFolder
from im2txt.system.folder_lock import folder_lock
from im2txt.system.stop_signals import stop_signals
from im2txt.text.vocabulary import Vocabulary
from im2txt.training import actions, run_validation
from im2txt.training.divergence import Guard
from im2txt.training.fed_words import FedWords
from im2txt.training.optimization import Optimizer, learning_rate
from im2txt.training.run_checkpoints import RunCheckpoints
from im2txt.training.run_progress import RunProgress
from im2txt.training.run_schedule import RunSchedule
from im2txt.training.step_profile import ProfileSteps
from im2txt.training.strategies import Distribution, build_distribution, check_workers
from im2txt.training.train_step import Trainer
from im2txt.training.training_loop import Action, run_steps
from im2txt.training.validation import is_out_of_patience


def train(config: ExperimentConfig, workdir: str, profile_steps: tuple[int, int] | None = None) -> str:
    """Trains a run, from its start or from its latest checkpoint, and returns the best checkpoint's path.

    SIGINT and SIGTERM, to any of its workers, end it after the current steps with a checkpoint; the same call then goes
    on from there to the same weights as an uninterrupted run. A run that is finished or has stopped early is left as it
    is.

    Args:
        config: the experiment.
        workdir: the run's folder; made if absent. All workers see the same one.
        profile_steps: see `ProfileSteps`; None profiles none.

    Raises:
        FileNotFoundError: if shards, manifest or weights are missing.
        KeyboardInterrupt: after a signal, once the checkpoint is written.
        RuntimeError: if the loss is no longer finite, or another worker is lost.
        ValueError: if configuration, data, devices and folder do not fit each other.
    """
    folder = _open_folder(config)
    check_workers(config, folder)
    distribution = build_distribution(config.training)
    layout = distribution.layout
    _check_parts(config, layout.replica_batch_size(config.input.batch_size))
    with contextlib.ExitStack() as stack:
        stop_requested = stack.enter_context(stop_signals())
        stack.enter_context(distribution.lost_workers_named())
        if layout.is_chief:
            stack.enter_context(folder_lock(workdir, "--workdir"))
        earlier = _enter_workdir(config, workdir, folder, distribution)
        run = _Run(config, workdir, folder, distribution)
        run.restore()
        if earlier is not None:  # Nothing has refused what is given now.
            run_folder.start_run(workdir, config, folder.manifest, folder.read_vocabulary())
        over = run.over()
        if layout.is_chief:
            print(f"The run in {workdir} has {over}: no step is left." if over else run.start_line(earlier), flush=True)
        if not over:
            run.train(stop_requested, profile_steps)
    return checkpoints.find_checkpoint(workdir)


class _Run:
    """The parts of one start of a run, built once."""

    def __init__(self, config: ExperimentConfig, workdir: str, folder: ShardFolder, distribution: Distribution):
        self._config, self._workdir, self._folder, self._distribution = config, workdir, folder, distribution
        self._vocabulary = folder.read_vocabulary()
        self._schedule = self._schedule_of(config)
        self._trainer = _build_trainer(config, workdir, folder, self._vocabulary, distribution, self._schedule)
        self._progress = RunProgress()
        self._saved = RunCheckpoints(
            workdir,
            self._trainer,
            config.training.keep_checkpoints,
            self._progress.variables,
            writes=distribution.layout.is_chief,
            best_by=config.training.best_by,
        )
        encoder = self._trainer.captioner.encoder
        self._image_format = encoder.image_format if encoder else None

    def restore(self) -> None:
        """Goes to the latest checkpoint, if there is one."""
        self._saved.restore()
        step = self._trainer.step
        if self._distribution.any_worker(step != self._distribution.of_chief(step)):
            raise RuntimeError(
                f"Worker {self._distribution.layout.worker} is at step {step} of the run in {self._workdir}, another "
                "one is not: the folder must be on storage that all workers share."
            )

    def over(self) -> str:
        """Returns why nothing is left to do, or an empty string."""
        step = self._trainer.step
        if step >= self._schedule.total_steps:
            return f"finished at step {step} of {self._schedule.total_steps}"
        if is_out_of_patience(self._saved, self._config.training.early_stopping_evaluations):
            return f"stopped early at step {step} of {self._schedule.total_steps}"
        return ""

    def start_line(self, earlier: ExperimentConfig | None) -> str:
        """Says where the run begins or goes on, and with what."""
        config, schedule, layout, step = self._config, self._schedule, self._distribution.layout, self._trainer.step
        workers = f" on {layout.num_workers} workers" if layout.num_workers > 1 else ""
        line = (
            f"{'Resuming' if step else 'Starting'} at step {step} of {schedule.total_steps} "
            f"({config.training.num_epochs:g} epochs of {schedule.steps_per_epoch:.1f} steps), "
            f"{layout.num_replicas} replica(s){workers}, {len(self._vocabulary)} words, workdir {self._workdir}"
        )
        before = self._schedule_of(earlier or config).total_steps
        if before != schedule.total_steps:
            finished = " and had finished them" if step >= before else ""
            line += f"\nThe run had {before} steps{finished}; now it goes on to {schedule.total_steps}."
        return line

    def train(self, stop_requested: Callable[[], bool], profile_steps: tuple[int, int] | None) -> None:
        """Trains to the end, an early stop or a signal; saves in each case."""
        config, distribution, trainer, progress = self._config, self._distribution, self._trainer, self._progress
        is_chief = distribution.layout.is_chief
        if is_chief:
            drop_later_samples(self._workdir, trainer.step)
        sound = leave_out_damage(self._folder, config.input.train_split, config.input.max_damaged_records)
        with contextlib.ExitStack() as stack:
            stack.enter_context(sound.damage_named(config.input.train_split, config.input.val_split, advice=ADVICE))
            stack.enter_context(long_captions_named(config.input.padded_caption_length))
            writer = stack.enter_context(MetricWriter(self._workdir, trainer.step)) if is_chief else None
            log = actions.RunLog(writer, progress, self._schedule.steps_per_epoch)
            stop = actions.StopOnSignal(stop_requested, distribution)
            parts = run_validation.ValidationParts(
                *(config, self._folder, self._image_format, self._vocabulary),
                *(trainer, distribution, self._schedule, progress),
            )
            between_steps: list[Action] = [
                Guard(trainer.step, trainer.captioner.vocab_size, trainer.learning_rate, config),
                actions.LogSteps(
                    log,
                    progress,
                    self._schedule,
                    config.training.log_every_steps,
                    config.input.batch_size * config.input.captions_per_image,
                    trainer,
                ),
                *run_validation.build_samples(parts, self._workdir, writer),
                *run_validation.build_validations(parts, log, self._saved),
                actions.SaveRegularly(self._saved, progress, distribution, config.training.checkpoint_every_secs),
                stop,
            ]
            if profile_steps is not None:
                profile = ProfileSteps(self._workdir, profile_steps, trainer.step, self._schedule.total_steps)
                between_steps += [stack.enter_context(profile)] if is_chief else []
            progress.restart_clock()
            run_steps(
                trainer, self._batches(sound), self._schedule.total_steps, config.training.steps_per_call, between_steps
            )
            self._saved.save()
            distribution.wait()  # A worker that ends while the chief still saves would look like one that was lost.
        if stop.has_stopped:
            log.tell(f"Stopped at step {trainer.step} and saved; the same command goes on from here.")
            raise KeyboardInterrupt

    def _schedule_of(self, config: ExperimentConfig) -> RunSchedule:
        examples = examples_per_epoch(self._folder.manifest, config.input.train_split, config.input.captions_per_image)
        return RunSchedule.of(config.training, examples, config.input.batch_size)

    def _batches(self, folder: ShardFolder) -> Iterator[object]:
        """The distributed batches, from the trainer's step on."""
        config, step = self._config, self._trainer.step
        build = functools.partial(
            training_batches, folder, config.input, self._image_format, config.training.seed, step
        )
        return iter(self._distribution.batches(build))


def _open_folder(config: ExperimentConfig) -> ShardFolder:
    """Opens the shards after checking all that the run will read of them: the first validation may be hours away."""
    if not config.input.data_dir:
        raise ValueError("input.data_dir is empty. Name the folder of shards: --config.input.data_dir=...")
    folder = ShardFolder.open(config.input.data_dir)
    for split in (config.input.train_split, config.input.val_split):
        folder.shard_paths(split)
    if config.training.caption_every_epochs:
        folder.read_references(config.input.val_split)
    if folder.manifest.encoder is not None:
        run_folder.check_features(folder.manifest.encoder, config.encoder)
    check_feature_rank(config.decoder.name, config.encoder.feature_rank)
    return folder


def _enter_workdir(
    config: ExperimentConfig, workdir: str, folder: ShardFolder, distribution: Distribution
) -> ExperimentConfig | None:
    """Makes the run's folder or checks the one that is there; returns the configuration it was last started with."""
    layout, earlier = distribution.layout, None
    if layout.is_chief:
        earlier = run_folder.check_run(workdir, config, folder.manifest, folder.read_vocabulary())
        if earlier is None:
            run_folder.start_run(workdir, config, folder.manifest, folder.read_vocabulary())
        if folder.manifest.encoder is None:
            keep_backbone(workdir, config.encoder)
    fingerprint = zlib.crc32(config.to_json().encode())
    if fingerprint != distribution.of_chief(fingerprint):
        raise ValueError(
            f"Worker {layout.worker} has another configuration than the chief. Give all of them the same flags."
        )
    return earlier


def _build_trainer(
    config: ExperimentConfig,
    workdir: str,
    folder: ShardFolder,
    words: Vocabulary,
    distribution: Distribution,
    schedule: RunSchedule,
) -> Trainer:
    data = folder.manifest
    tf.keras.utils.set_random_seed(config.training.seed)
    with distribution.strategy.scope():
        encoder = _build_encoder(config, workdir) if data.encoder is None else None
        source = encoder or data.encoder
        assert source is not None  # One of the two is there by construction.
        counts = np.array(words.counts)
        counts[words.start_id] = 0
        counts[words.unknown_id] = data.split(config.input.train_split).unknown_words
        captioner = run_folder.build_captioner(config, words, encoder, source.feature_shape, counts)
        if config.training.start_from:
            load_initial_weights(config.training.start_from, captioner, words, config.encoder, data)
        _keep_encoder(config, workdir, encoder, distribution)
        encoder_from_step = schedule.step_at(config.encoder.train_from_epoch)
        optimizer = Optimizer(config.optimization, captioner.trainable_variables, encoder_from_step)

    def rate(step: tf.Tensor) -> tf.Tensor:
        return learning_rate(config.optimization, step, schedule.steps_per_epoch, schedule.total_steps)

    sampling_from_step = schedule.step_at(config.optimization.scheduled_sampling_from_epoch)
    return Trainer(
        distribution.strategy,
        captioner,
        optimizer,
        rate,
        config.optimization,
        config.training.seed,
        FedWords(config.optimization, words.unknown_id, sampling_from_step, schedule.total_steps),
        config.encoder.l2_regularization,
        config.training.accumulation_steps,
    )


def _check_parts(config: ExperimentConfig, replica_batch_size: int) -> None:
    num_parts = config.training.accumulation_steps
    if replica_batch_size % num_parts:
        raise ValueError(
            f"training.accumulation_steps={num_parts} must divide the {replica_batch_size} photographs that a replica "
            f"has of input.batch_size={config.input.batch_size}."
        )


def _build_encoder(config: ExperimentConfig, workdir: str) -> ImageEncoder:
    """Builds the encoder; what starts from a run has that run's weights, and needs no others."""
    encoder = kept_backbone(workdir, config.encoder)
    return ImageEncoder(dataclasses.replace(encoder, weights=NO_WEIGHTS) if config.training.start_from else encoder)


def _keep_encoder(
    config: ExperimentConfig, workdir: str, encoder: ImageEncoder | None, distribution: Distribution
) -> None:
    """Keeps a frozen encoder with the run: the chief writes it where it is new, the others then have the same."""
    if config.encoder.trainable or config.encoder.is_given_features:
        return
    for is_turn in (distribution.layout.is_chief, not distribution.layout.is_chief):
        if is_turn and encoder is not None:
            keep_encoder(workdir, encoder, config.encoder.weights)
        elif is_turn:
            keep_feature_encoder(workdir, config.input.data_dir)
        distribution.wait()
