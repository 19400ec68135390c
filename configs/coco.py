"""COCO with a frozen Inception v3 and cached features: what is known to help since the original, together.

Not yet run.

    python -m data_prep.cache_features --config=coco --data_dir=/data/coco_shards --output_dir=/data/coco_features
    python -m im2txt.train --config=coco --workdir=/data/run --config.input.data_dir=/data/coco_features

AdamW with warm-up and a cosine; label smoothing (Szegedy et al., arXiv 1512.00567); the average of the weights;
scheduled sampling (Bengio et al., arXiv 1506.03099) of up to a quarter of the words, as much as other published code
takes; bfloat16 wherever matrices are multiplied.
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
        encoder=EncoderConfig(backbone="InceptionV3", crop_fraction=1.0, compute_dtype="bfloat16"),
        decoder=ShowAndTellConfig(log_frequency_bias=True),
        optimization=OptimizationConfig(
            optimizer="adamw",
            learning_rate=1e-3,
            schedule="cosine",
            warmup_steps=1000,
            weight_decay=0.05,
            label_smoothing=0.1,
            scheduled_sampling_rate=0.25,
            scheduled_sampling_from_epoch=5.0,
            ema_decay=0.9995,
        ),
        training=TrainingConfig(num_epochs=25, compute_dtype="bfloat16", stop_above_perplexity=1000.0),
    )
