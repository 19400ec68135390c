"""A run scored on a split: perplexity, captions, and what they are worth beside a constant caption and a person's."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

import tensorflow as tf

from im2txt.decoding.caption_generator import Candidate, CaptionGenerator
from im2txt.inference.caption_evaluation import Extras, score_and_write
from im2txt.inference.caption_files import match_images
from im2txt.metrics.perplexity import build_perplexity
from im2txt.model.image_encoder import image_format
from im2txt.runs.run_files import read_run_config
from im2txt.runs.run_folder import Run, check_vocabulary, load_run
from im2txt.shards import input_pipeline
from im2txt.shards.shard_folder import ShardFolder
from im2txt.system import storage
from im2txt.system.progress import progress_bar

_TRAINING_SPLIT = "train"


def score_run(
    workdir: str, split: str, output_dir: str, data_dir: str, batch_size: int, decoding: dict[str, Any], extras: Extras
) -> dict[str, Any]:
    """Scores a run's best checkpoint and writes captions.json, candidates.json, scores.json and image_scores.json.

    Args:
        workdir: the run's folder.
        split: name of the split.
        output_dir: made if absent.
        data_dir: folder of shards; empty takes the one the run was trained on.
        batch_size: photographs per batch.
        decoding: fields of `DecodingConfig` that replace the run's.
        extras: what is asked for besides the scores.

    Returns:
        The content of scores.json: `split`, `step`, `checkpoint`, `perplexity`, `beam_size`, and what
        `im2txt.inference.caption_evaluation` says.

    Raises:
        FileNotFoundError: if the run, the shards or the references are missing.
        ValueError: if they do not belong together.
        RuntimeError: if all checkpoints of the run are damaged, or a Java metric failed.
    """
    if not data_dir:
        data_dir = read_run_config(workdir).input.data_dir
    if not data_dir:
        raise ValueError(f"The run in {workdir} was trained on no shards of this project. Name some: --data_dir=...")
    folder = ShardFolder.open(data_dir)
    data = folder.manifest
    num_images = data.split(split).images
    run = load_run(workdir, data)
    check_vocabulary(run.vocabulary, folder.read_vocabulary(), workdir)
    references = folder.read_references(split)
    photograph_format = image_format(run.config.encoder) if data.encoder is None else None
    batches = input_pipeline.evaluation_batches(folder, split, photograph_format, batch_size)
    with folder.damage_named(split):
        perplexity, _ = build_perplexity(run.captioner.word_losses)(
            progress_bar("perplexity", batches, unit=" batches")
        )
    run = dataclasses.replace(
        run, config=dataclasses.replace(run.config, decoding=dataclasses.replace(run.config.decoding, **decoding))
    )
    photographs = input_pipeline.photograph_batches(folder, split, photograph_format, batch_size)
    captions = _caption_all(run, photographs, num_images)
    # The search finds nothing where all probability lies on words it may not say: scored as an empty caption.
    scored = {image_id: candidates[0].words if candidates else "" for image_id, candidates in captions.items()}
    head = {
        "split": split,
        "step": run.step,
        "checkpoint": os.path.relpath(run.checkpoint, workdir),
        "perplexity": perplexity,
        "beam_size": run.config.decoding.beam_size,
    }
    results = [{"image_id": image_id, "caption": caption} for image_id, caption in scored.items()]
    candidates = [
        {
            "image_id": image_id,
            "file_name": references.file_names[image_id],
            "captions": [dataclasses.asdict(candidate) for candidate in of_image],
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


def _caption_all(run: Run, batches: tf.data.Dataset, num_images: int) -> dict[int, list[Candidate]]:
    """Captions every photograph once, also where several examples hold it."""
    generator = CaptionGenerator(run.captioner, run.vocabulary, run.tokenizer, run.config.decoding)
    captions: dict[int, list[Candidate]] = {}
    with progress_bar("captioning", total=num_images, unit=" photographs") as progress:
        for batch in batches:
            image_ids = [int(image_id) for image_id in batch["image_id"]]
            new = [i for i, image_id in enumerate(image_ids) if image_id not in captions]
            if not new:
                continue
            rows = {name: tf.gather(value, new) for name, value in batch.items()}
            captions |= dict(zip((image_ids[i] for i in new), generator(rows), strict=True))
            progress.update(len(captions) - progress.n)
    return captions
