"""How a run is validated: its parts put together as actions of the loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from im2txt.config_sections.training_config import BestBy
from im2txt.configuration import DecodingConfig, ExperimentConfig
from im2txt.decoding.caption_generator import Candidate, CaptionGenerator
from im2txt.images.preprocessing import ImageFormat
from im2txt.metrics.perplexity import build_perplexity
from im2txt.runs.metric_writer import MetricWriter
from im2txt.shards.chosen_photographs import choose_photographs
from im2txt.shards.input_pipeline import evaluation_batches
from im2txt.shards.shard_folder import ShardFolder
from im2txt.text.vocabulary import Vocabulary
from im2txt.training.actions import RunLog
from im2txt.training.caption_subset import CaptionSubset, Generate
from im2txt.training.run_checkpoints import RunCheckpoints
from im2txt.training.run_progress import RunProgress
from im2txt.training.run_schedule import Recurrence, RunSchedule
from im2txt.training.show_samples import ShowSamples
from im2txt.training.strategies import Distribution
from im2txt.training.train_step import Trainer
from im2txt.training.training_loop import Action
from im2txt.training.validation import Finding, Validate, by_captions, by_perplexity

_BATCH_SIZE = 32
# Not the run's, which may change on resuming and would make its figures incomparable.
_DECODING = DecodingConfig(beam_size=1)


@dataclasses.dataclass(frozen=True)
class ValidationParts:
    """What all validations of a run are made of.

    Attributes:
        config: the experiment.
        folder: the shards.
        image_format: how to prepare photographs; None for features.
        vocabulary: the folder's words.
        trainer: the model in training; validations are of the average of its weights, where it keeps one.
        distribution: where it computes.
        schedule: when validations are due.
        progress: whose clock stands still meanwhile.
    """

    config: ExperimentConfig
    folder: ShardFolder
    image_format: ImageFormat | None
    vocabulary: Vocabulary
    trainer: Trainer
    distribution: Distribution
    schedule: RunSchedule
    progress: RunProgress

    def caption_generator(self, decoding: DecodingConfig) -> Generate:
        """Captions photographs by the model as it stands at each call, in this process alone."""
        tokenizer = self.folder.manifest.tokenizer
        generator = CaptionGenerator(self.trainer.captioner, self.vocabulary, tokenizer, decoding)

        def generate(batch: dict[str, tf.Tensor]) -> list[list[Candidate]]:
            with self.trainer.average.in_place():
                return generator(batch)

        return generate


def build_validations(parts: ValidationParts, log: RunLog, saved: RunCheckpoints) -> list[Action]:
    """By perplexity always, by captions where that is asked for; one of both decides which checkpoint is the best.

    Raises:
        FileNotFoundError: if captions are to be scored without references.
        ValueError: if there are too few of them.
    """
    config, schedule = parts.config.training, parts.schedule
    decides = saved, config.early_stopping_evaluations

    def validate(due: Recurrence, measure: Callable[[], Finding], name: BestBy, worst: float = 0.0) -> Action:
        return Validate(log, parts.progress, due, measure, decides if config.best_by == name else None, worst)

    built = [validate(schedule.evaluations, _perplexity(parts), "perplexity", config.stop_above_perplexity)]
    if schedule.caption_evaluations is not None:
        built.append(validate(schedule.caption_evaluations, _cider(parts), "cider"))
    return built


def build_samples(parts: ValidationParts, workdir: str, writer: MetricWriter | None) -> list[Action]:
    """Sample captions at each validation, of the worker that has a writer.

    Raises:
        ValueError: if the photographs cannot be read.
    """
    config = parts.config
    if writer is None or config.training.sample_images == 0:
        return []
    chosen = choose_photographs(
        parts.folder, config.input.val_split, config.training.sample_images, config.training.seed
    )
    generator, due = parts.caption_generator(config.decoding), parts.schedule.evaluations
    return [ShowSamples(workdir, writer, parts.progress, due, chosen, parts.image_format, generator)]


def _perplexity(parts: ValidationParts) -> Callable[[], Finding]:
    split = parts.config.input.val_split
    batches = parts.distribution.batches(
        lambda layout: evaluation_batches(parts.folder, split, parts.image_format, _BATCH_SIZE, layout)
    )
    perplexity = build_perplexity(parts.trainer.captioner.word_losses, parts.distribution.strategy)

    def of_average() -> tuple[float, int]:
        with parts.trainer.average.in_place():
            return perplexity(batches)

    return by_perplexity(of_average)


def _cider(parts: ValidationParts) -> Callable[[], Finding]:
    """The chief captions and scores; the others wait for its figure."""
    config = parts.config
    subset = CaptionSubset(
        parts.folder, config.input.val_split, parts.image_format, config.training.caption_images, config.training.seed
    )
    generator, distribution = parts.caption_generator(_DECODING), parts.distribution

    def cider() -> float:
        own = subset.cider(generator, _BATCH_SIZE) if distribution.layout.is_chief else 0.0
        return distribution.of_chief(own)

    return by_captions(cider, subset.num_photographs)
