"""COCO with a frozen Inception v3 and cached features: the recipe of `flickr8k`, with less dropout for more data.

Not yet run.

    python -m data_prep.cache_features --config=coco --data_dir=/data/coco_shards --output_dir=/data/coco_features
    python -m im2txt.train --config=coco --workdir=/data/run --config.input.data_dir=/data/coco_features
"""

from im2txt.configuration import (
    EncoderConfig,
    ExperimentConfig,
    InputConfig,
    OptimizationConfig,
    ShowAndTellConfig,
    TrainingConfig,
)


def get_config() -> ExperimentConfig:
    """Returns the experiment."""
    return ExperimentConfig(
        input=InputConfig(batch_size=256, shuffle_buffer_examples=50_000),
        encoder=EncoderConfig(backbone="InceptionV3", crop_fraction=1.0),
        decoder=ShowAndTellConfig(log_frequency_bias=True),
        optimization=OptimizationConfig(
            optimizer="adamw", learning_rate=1e-3, schedule="cosine", warmup_steps=1000, weight_decay=0.05
        ),
        training=TrainingConfig(num_epochs=15, compute_dtype="bfloat16"),
    )
