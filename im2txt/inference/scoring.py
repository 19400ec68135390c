"""A run scored on a split: perplexity, captions, and what they are worth beside a constant caption and a person's."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from im2txt.engines.engine import Engine
from im2txt.inference.caption_evaluation import Extras, score_and_write
from im2txt.inference.caption_files import match_images
from im2txt.inference.caption_model import Model
from im2txt.inference.split_captions import PartReport, caption_part, plan_parts
from im2txt.metrics.perplexity import perplexity
from im2txt.runs.run_files import read_run_config
from im2txt.shards.shard_folder import ShardFolder
from im2txt.system import storage
from im2txt.system.progress import progress_bar

_TRAINING_SPLIT = "train"
_ADVICE = "Run the same command again."


def score_run(
    model: Model, split: str, output_dir: str, data_dir: str, engine: Engine, extras: Extras
) -> dict[str, Any]:
    """Scores a run's best checkpoint and writes captions.json, candidates.json, scores.json and image_scores.json.

    Args:
        model: one run, and how it decodes; whether it captions features, the shards say.
        split: name of the split.
        output_dir: made if absent.
        data_dir: folder of shards; empty takes the one the run was trained on.
        engine: what captions the parts of the split.
        extras: what is asked for besides the scores.

    Returns:
        The content of scores.json: `split`, `step`, `checkpoint`, `perplexity`, `beam_size`, and what
        `im2txt.inference.caption_evaluation` says.

    Raises:
        FileNotFoundError: if the run, the shards or the references are missing.
        ValueError: if they do not belong together, or a record is damaged.
        RuntimeError: if all checkpoints of the run are damaged, a worker died, or a Java metric failed.
    """
    (workdir,) = model.workdirs
    config = read_run_config(workdir)
    data_dir = data_dir or config.input.data_dir
    if not data_dir:
        raise ValueError(f"The run in {workdir} was trained on no shards of this project. Name some: --data_dir=...")
    folder = ShardFolder.open(data_dir)
    references = folder.read_references(split)
    model = model._replace(with_attention=True)
    if folder.manifest.encoder is not None:
        model = model._replace(features_dir=data_dir)
    reports = _caption_all(folder, split, model, engine)
    captions: dict[int, list[dict[str, Any]]] = {}
    for report in reports:
        for image_id, candidates in report.captions:
            captions.setdefault(image_id, candidates)
    # The search finds nothing where all probability lies on words it may not say: scored as an empty caption.
    scored = {image_id: candidates[0]["words"] if candidates else "" for image_id, candidates in captions.items()}
    head = {
        "split": split,
        "step": reports[0].step,
        "checkpoint": reports[0].checkpoint,
        "perplexity": perplexity(sum(report.total_loss for report in reports), sum(report.words for report in reports)),
        "beam_size": config.decoding.replaced(dict(model.decoding)).beam_size,
    }
    results = [{"image_id": image_id, "caption": caption} for image_id, caption in scored.items()]
    candidates = [
        {
            "image_id": image_id,
            "file_name": references.file_names.get(image_id, str(image_id)),  # It may be excluded below.
            "captions": of_image,
        }
        for image_id, of_image in captions.items()
    ]
    storage.make_directory(output_dir)
    for name, content in (("captions", results), ("candidates", candidates)):
        storage.write_text(storage.join(output_dir, f"{name}.json"), json.dumps(content, indent=1, ensure_ascii=False))
    images = match_images(scored, references.captions)
    return score_and_write(head, images, _training_captions(folder), output_dir, extras)


def _training_captions(folder: ShardFolder) -> list[str] | None:
    """What a caption may be copied from; None where the folder has no captions to train on."""
    if _TRAINING_SPLIT not in folder.manifest.splits:
        return None
    return [caption for captions in folder.read_references(_TRAINING_SPLIT).captions.values() for caption in captions]


def _caption_all(folder: ShardFolder, split: str, model: Model, engine: Engine) -> list[PartReport]:
    """Returns the reports of a split's parts in order."""
    parts = plan_parts(folder, split, model)
    reports = []
    with (
        progress_bar("captioning", total=folder.manifest.split(split).images, unit=" photographs") as progress,
        contextlib.closing(engine.run(caption_part, parts, _ADVICE)) as running,
    ):
        for report in running:
            reports.append(report)
            progress.update(len(report.captions))
    return sorted(reports, key=lambda report: (report.shard, report.part))
