"""The outer loop: what surrounds the training steps. Validation, checkpoints, figures, stopping and resuming."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from im2txt.configuration import ExperimentConfig
from im2txt.metrics.perplexity import build_perplexity
from im2txt.model.image_encoder import ImageEncoder, image_format
from im2txt.runs import checkpoints, run_folder
from im2txt.runs.frozen_encoder import keep_encoder, keep_feature_encoder
from im2txt.runs.initial_weights import load_initial_weights
from im2txt.runs.metric_writer import MetricWriter
from im2txt.shards import input_pipeline
from im2txt.shards.manifest import Manifest
from im2txt.shards.shard_folder import ShardFolder
from im2txt.system.folder_lock import folder_lock
from im2txt.system.stop_signals import stop_signals
from im2txt.text.vocabulary import Vocabulary
from im2txt.training import optimization
from im2txt.training.run_checkpoints import RunCheckpoints
from im2txt.training.train_step import Trainer

_VALIDATION_BATCH_SIZE = 32


@dataclasses.dataclass(frozen=True)
class _Schedule:
    """Lengths of a run, in steps."""

    steps_per_epoch: float
    total_steps: int
    eval_steps: float

    def next_stop(self, step: int, config: ExperimentConfig) -> int:
        """Returns the next step at which the loop must look up: a log line, a validation, the end."""
        log = (step // config.training.log_every_steps + 1) * config.training.log_every_steps
        evaluation = math.ceil((math.floor(step / self.eval_steps) + 1) * self.eval_steps)
        return min(log, evaluation, self.total_steps, step + config.training.steps_per_call)

    def is_evaluation(self, step: int) -> bool:
        """Whether a validation is due after this step."""
        return math.floor(step / self.eval_steps) > math.floor((step - 1) / self.eval_steps)


def train(config: ExperimentConfig, workdir: str) -> str:
    """Trains a run, from its start or from its latest checkpoint, and returns the best checkpoint's path.

    SIGINT and SIGTERM end it after the current steps with a checkpoint; the same call then goes on from there to the
    same weights as an uninterrupted run.

    Args:
        config: the experiment.
        workdir: the run's folder; made if absent.

    Raises:
        FileNotFoundError: if shards, manifest or weights are missing.
        KeyboardInterrupt: after a signal, once the checkpoint is written.
        RuntimeError: if the loss is no longer finite, another process trains there, or a checkpoint cannot be written.
        ValueError: if configuration, data and folder do not fit each other.
    """
    data_dir = config.input.data_dir
    if not data_dir:
        raise ValueError("input.data_dir is empty. Name the folder of shards: --config.input.data_dir=...")
    folder = ShardFolder.open(data_dir)
    data = folder.manifest
    words = folder.read_vocabulary()
    for split in (config.input.train_split, config.input.val_split):
        folder.shard_paths(split)  # Now: the first validation may be hours away.
    if data.encoder is not None:
        run_folder.check_features(data.encoder, config.encoder)
    with folder_lock(workdir, "--workdir"):
        return _train(config, workdir, folder, words)


def _train(config: ExperimentConfig, workdir: str, folder: ShardFolder, words: Vocabulary) -> str:
    data = folder.manifest
    run_folder.start_run(workdir, config, data, words)
    strategy = _strategy(config)
    schedule = _schedule(config, data)
    trainer = _build_trainer(config, workdir, data, words, strategy, schedule)
    saved = RunCheckpoints(workdir, trainer, config.training.keep_checkpoints)
    resumed = saved.restore()
    step = int(trainer.global_step)
    photograph_format = image_format(config.encoder) if data.encoder is None else None
    print(
        f"{'Resuming' if resumed else 'Starting'} at step {step} of {schedule.total_steps} "
        f"({config.training.num_epochs:g} epochs of {schedule.steps_per_epoch:.1f} steps), "
        f"{strategy.num_replicas_in_sync} replica(s), {len(words)} words, workdir {workdir}",
        flush=True,
    )

    def batches(context: tf.distribute.InputContext) -> tf.data.Dataset:
        replicas = context.num_replicas_in_sync
        return input_pipeline.training_batches(
            folder,
            config.input,
            photograph_format,
            config.input.batch_size // replicas,
            config.training.seed,
            first_batch=step * replicas,
        )

    def validation() -> tf.data.Dataset:
        return input_pipeline.evaluation_batches(
            folder, config.input.val_split, photograph_format, _VALIDATION_BATCH_SIZE
        )

    stream = iter(strategy.distribute_datasets_from_function(batches))
    with MetricWriter(workdir, step) as writer, stop_signals() as stop_requested:
        loop = _Loop(config, schedule, trainer, saved, writer, validation)
        with folder.damage_named(config.input.train_split, config.input.val_split):
            loop.run(stream, stop_requested)
    return checkpoints.find_checkpoint(workdir)


class _Loop:
    """Runs steps up to the next stop, then does what is due there."""

    def __init__(
        self,
        config: ExperimentConfig,
        schedule: _Schedule,
        trainer: Trainer,
        saved: RunCheckpoints,
        writer: MetricWriter,
        validation: Callable[[], tf.data.Dataset],
    ):
        self._config, self._schedule, self._trainer = config, schedule, trainer
        self._saved, self._writer, self._validation = saved, writer, validation
        self._perplexity = build_perplexity(trainer.captioner.word_losses)
        self._start_time = self._save_time = time.monotonic()

    def run(self, stream: Iterator[object], stop_requested: Callable[[], bool]) -> None:
        """Trains until the last step, an early stop or a signal; saves in each case."""
        step = int(self._trainer.global_step)
        interval = _Interval(step)
        while step < self._schedule.total_steps and not stop_requested():
            next_step = self._schedule.next_stop(step, self._config)
            metrics = self._trainer.train_steps(stream, next_step - step)
            interval.add(float(metrics.loss_sum), float(metrics.words), float(metrics.gradient_norm))
            if not math.isfinite(interval.loss_sum):
                raise RuntimeError(
                    f"The loss is {interval.loss_sum} between steps {step} and {next_step}. Lower the learning rate or "
                    "optimization.clip_norm; the latest checkpoint is from before."
                )
            step = next_step
            if step % self._config.training.log_every_steps == 0 or step == self._schedule.total_steps:
                self._log(interval, step)
                interval = _Interval(step)
            if self._schedule.is_evaluation(step) or step == self._schedule.total_steps:
                before = time.monotonic()
                if self._validate(step):
                    break
                interval.start_time += time.monotonic() - before
            if time.monotonic() - self._save_time > self._config.training.checkpoint_every_secs:
                self._saved.save()
                self._save_time = time.monotonic()
        self._saved.save()
        if stop_requested():
            print(f"Stopped at step {step} and saved; the same command goes on from here.", flush=True)
            raise KeyboardInterrupt

    def _log(self, interval: _Interval, step: int) -> None:
        steps_per_sec = (step - interval.first_step) / max(time.monotonic() - interval.start_time, 1e-9)
        captions = self._config.input.batch_size * self._config.input.captions_per_image
        loss = interval.loss_sum / max(interval.words, 1.0)
        rate = float(self._trainer.learning_rate(tf.constant(step - 1, tf.int64)))
        eta = int((self._schedule.total_steps - step) / steps_per_sec)
        print(
            f"train | step {step} | loss {loss:.4f} | perplexity {_exp(loss):.2f} | lr {rate:.1e} | "
            f"{steps_per_sec:.1f} steps/s | {steps_per_sec * captions:.0f} captions/s | "
            f"eta {eta // 3600}:{eta // 60 % 60:02d}:{eta % 60:02d}",
            flush=True,
        )
        values = {
            "loss": loss,
            "perplexity": _exp(loss),
            "learning_rate": rate,
            "gradient_norm": interval.gradient_norm / (step - interval.first_step),
            "captions_per_sec": steps_per_sec * captions,
        }
        self._write("train", step, values)

    def _validate(self, step: int) -> bool:
        """Validates and keeps the best checkpoint; returns whether it is time to stop early."""
        perplexity, words = self._perplexity(self._validation())
        best = self._saved.save_if_best(perplexity)
        print(
            f"val   | step {step} | loss {math.log(perplexity):.4f} | perplexity {perplexity:.4f} | {words} words"
            f"{' | best so far' if best else ''}",
            flush=True,
        )
        self._write("val", step, {"loss": math.log(perplexity), "perplexity": perplexity})
        patience = self._config.training.early_stopping_evaluations
        if patience and int(self._saved.evaluations_since_best) >= patience:
            print(f"No better validation in {patience}: stopping early.", flush=True)
            return True
        return False

    def _write(self, kind: str, step: int, values: dict[str, float]) -> None:
        elapsed = round(time.monotonic() - self._start_time, 3)
        self._writer.write(kind, step, step / self._schedule.steps_per_epoch, values | {"time": elapsed})


class _Interval:
    """Sums since the last log line."""

    def __init__(self, step: int):
        self.first_step = step
        self.start_time = time.monotonic()
        self.loss_sum = self.words = self.gradient_norm = 0.0

    def add(self, loss_sum: float, words: float, gradient_norm: float) -> None:
        self.loss_sum += loss_sum
        self.words += words
        self.gradient_norm += gradient_norm


def _strategy(config: ExperimentConfig) -> tf.distribute.Strategy:
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        # Otherwise TensorFlow takes all memory, and an evaluation beside the training finds none.
        tf.config.experimental.set_memory_growth(gpu, True)
    if config.training.distribution == "mirrored":
        strategy = tf.distribute.MirroredStrategy()
        if config.input.batch_size % strategy.num_replicas_in_sync:
            raise ValueError(
                f"input.batch_size={config.input.batch_size} must be a multiple of the {strategy.num_replicas_in_sync} "
                "replicas."
            )
        return strategy
    return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")


def _schedule(config: ExperimentConfig, data: Manifest) -> _Schedule:
    examples = input_pipeline.examples_per_epoch(data, config.input.train_split, config.input.captions_per_image)
    steps_per_epoch = examples / config.input.batch_size
    return _Schedule(
        steps_per_epoch,
        total_steps=math.ceil(config.training.num_epochs * steps_per_epoch),
        eval_steps=max(1.0, config.training.eval_every_epochs * steps_per_epoch),
    )


def _build_trainer(
    config: ExperimentConfig,
    workdir: str,
    data: Manifest,
    words: Vocabulary,
    strategy: tf.distribute.Strategy,
    schedule: _Schedule,
) -> Trainer:
    tf.keras.utils.set_random_seed(config.training.seed)
    with strategy.scope():
        encoder = ImageEncoder(config.encoder) if data.encoder is None else None
        source = encoder or data.encoder
        assert source is not None  # One of the two is there by construction.
        feature_size = source.feature_shape[0]
        counts = np.array(words.counts)
        counts[words.start_id] = 0
        counts[words.unknown_id] = data.split(config.input.train_split).unknown_words
        captioner = run_folder.build_captioner(config, words, encoder, feature_size, counts)
        if config.training.start_from:
            load_initial_weights(config.training.start_from, captioner, words, config.encoder, data)
        if encoder is None:
            keep_feature_encoder(workdir, config.input.data_dir)
        elif not config.encoder.trainable:
            keep_encoder(workdir, encoder, config.encoder.weights)
        optimizer = optimization.Optimizer(config.optimization, captioner.trainable_variables)

    def rate(step: tf.Tensor) -> tf.Tensor:
        return optimization.learning_rate(config.optimization, step, schedule.steps_per_epoch, schedule.total_steps)

    return Trainer(strategy, captioner, optimizer, rate, config.optimization, config.training.seed)


def _exp(loss: float) -> float:
    return math.exp(loss) if loss < 700 else math.inf
