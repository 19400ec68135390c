"""The Keras tutorials' word-by-word model on Flickr8k's captions, with the features of this project's encoder.

Result with EfficientNet-Lite2 and its mean: best after 5 epochs, perplexity 17.88 on val; on test at beam 3 BLEU-4
18.5, CIDEr-D 44.6 (`docs/forebears.md`).

    python -m data_prep.cache_features --config=word_by_word --data_dir=/data/shards --output_dir=/data/features
    python -m im2txt.train --config=word_by_word --workdir=/data/run --config.input.data_dir=/data/features

Source: Brownlee, "How to Use Small Experiments to Develop a Caption Generation Model in Keras", the baseline: Adam as
Keras has it, the largest of each channel as features, there VGG16's. There it learns 100 photographs by heart in 50
epochs of pairs of prefix and next word.
"""

from im2txt.configuration import (
    EncoderConfig,
    ExperimentConfig,
    InputConfig,
    OptimizationConfig,
    TrainingConfig,
    WordByWordConfig,
)


def get_config() -> ExperimentConfig:
    """Returns the experiment."""
    return ExperimentConfig(
        input=InputConfig(batch_size=32, shuffle_buffer_examples=30_000),
        encoder=EncoderConfig(backbone="MobileNetV2", crop_fraction=1.0, pooling="max"),
        decoder=WordByWordConfig(),
        optimization=OptimizationConfig(optimizer="adam", learning_rate=1e-3, schedule="constant", clip_norm=0.0),
        training=TrainingConfig(num_epochs=20, early_stopping_evaluations=4),
    )
