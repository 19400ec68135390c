"""What the model says of a few photographs as training goes on, for people to look at."""

from __future__ import annotations

from im2txt.images.preprocessing import ImageFormat
from im2txt.runs.metric_writer import MetricWriter
from im2txt.runs.sample_captions import SampleCaption, append_samples, draw_captioned
from im2txt.shards.chosen_photographs import ChosenPhotographs
from im2txt.training.caption_subset import Generate
from im2txt.training.run_progress import RunProgress
from im2txt.training.run_schedule import Recurrence
from im2txt.training.train_step import StepMetrics


class ShowSamples:
    """Captions the same photographs after each validation, in one worker alone.

    The captions go to `samples.jsonl` and to TensorBoard: below the photograph among its images, or among its texts
    where there is no photograph at hand, as features may have outlived theirs.
    """

    def __init__(
        self,
        workdir: str,
        writer: MetricWriter,
        progress: RunProgress,
        due: Recurrence,
        chosen: ChosenPhotographs,
        image_format: ImageFormat | None,
        generator: Generate,
    ):
        """Reads the photographs, and keeps them in memory: prepared for the model, and as image files.

        Args:
            workdir: the run's folder.
            writer: of the run's figures.
            progress: whose clock stands still meanwhile.
            due: when.
            chosen: the photographs.
            image_format: how to prepare them; None for features.
            generator: of the model as it stands whenever it is called.

        Raises:
            ValueError: if an image file cannot be drawn.
        """
        self._workdir, self._writer, self._progress, self._due = workdir, writer, progress, due
        self._generator = generator
        self._names = _names(chosen)
        self._batches = list(chosen.batches(image_format, len(chosen.image_ids)))
        try:
            self._encoded_images = chosen.encoded_images()
        except (FileNotFoundError, ValueError) as error:
            if image_format is not None:
                raise
            print(f"Sample captions go to TensorBoard without their photographs: {error}", flush=True)
            self._encoded_images = {}
        for encoded in self._encoded_images.values():
            draw_captioned(encoded, [""])  # Hours before it is needed.

    def next_step(self, step: int) -> int | None:
        """The next validation."""
        return self._due.next(step)

    def __call__(self, step: int, metrics: StepMetrics) -> bool:
        """Writes a row and pictures where they are due."""
        if self._due.is_due(step):
            with self._progress.pause():
                self._write(step)
        return False

    def _write(self, step: int) -> None:
        samples = []
        for batch in self._batches:
            for image_id, candidates in zip(batch["image_id"].numpy().tolist(), self._generator(batch), strict=True):
                caption = candidates[0].caption if candidates else ""
                samples.append(SampleCaption(image_id, self._names[image_id], caption))
        append_samples(self._workdir, step, samples)
        for sample in samples:
            tag = f"samples/{sample.file_name}"
            if sample.image_id in self._encoded_images:
                picture = draw_captioned(self._encoded_images[sample.image_id], [sample.caption])
                self._writer.write_picture(tag, step, picture)
            else:
                self._writer.write_text(tag, step, sample.caption)


def _names(chosen: ChosenPhotographs) -> dict[int, str]:
    """Returns the photographs' names by image id, the ids themselves where the folder keeps no names."""
    try:
        names = chosen.folder.read_references(chosen.split).file_names
    except FileNotFoundError:
        names = {}
    return {image_id: names.get(image_id, str(image_id)) for image_id in chosen.image_ids}
