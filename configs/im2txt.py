"""The original im2txt's first phase on COCO: frozen Inception v3, plain gradient descent, a million steps.

Cost: one to two weeks on the K20m of its time. Result of the original: perplexity 8.70 on its val split after 1,000,000
steps. Not yet run here.

    python -m im2txt.train --config=im2txt --workdir=/data/run --config.input.data_dir=/data/coco_shards

Source: Vinyals et al., Show and Tell: Lessons learned, arXiv 1609.06647, and the settings of Google's code: the
defaults of every section, so that little stands here.
"""

from im2txt.configuration import ExperimentConfig, TrainingConfig


def get_config() -> ExperimentConfig:
    """Returns the experiment."""
    # 1,000,000 steps of 32 captions are 54.6 passes over COCO's 586,368.
    return ExperimentConfig(training=TrainingConfig(num_epochs=54.6))
