"""The original im2txt's first phase on COCO: frozen Inception v3, plain gradient descent, a million steps.

Cost: one to two weeks on the K20m of its time. Result of the original: perplexity 8.70 on its val split after 1,000,000
steps. Not yet run here.

    python -m im2txt.train --config=im2txt --workdir=/data/run --config.input.data_dir=/data/coco_shards

`im2txt_finetune` is the second phase.

Source: Vinyals et al., Show and Tell: Lessons learned, arXiv 1609.06647, and the settings of Google's code: the
defaults of most sections, so that little stands here.
"""

from im2txt.configuration import EncoderConfig, ExperimentConfig, InputConfig, TrainingConfig

COCO_EPOCHS_PER_STEP = 32 / 586_368
"""The original counts steps of 32 captions; its split of COCO has 586,368."""


def get_config() -> ExperimentConfig:
    """Returns the experiment."""
    return ExperimentConfig(
        input=InputConfig(bucketing_batches=1),
        encoder=EncoderConfig(resize="legacy"),
        training=TrainingConfig(num_epochs=1_000_000 * COCO_EPOCHS_PER_STEP, keep_checkpoints=5),
    )
