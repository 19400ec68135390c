"""The Keras tutorial's whole-description model on Flickr8k's captions: all words from the photograph at once.

Result with EfficientNet-Lite2: best after 6 epochs, perplexity 62.21 on val; on test at beam 3 BLEU-4 10.0, CIDEr-D
24.5 (`docs/forebears.md`).

    python -m data_prep.cache_features --config=whole_description --data_dir=/data/shards --output_dir=/data/features
    python -m im2txt.train --config=whole_description --workdir=/data/run --config.input.data_dir=/data/features

Source: Brownlee, "How to Prepare a Photo Caption Dataset for Training a Deep Learning Model", which prepares the data
of such a model and leaves the rest open; the training is the merge model's. `input.padded_caption_length` makes every
row of targets as long, as the tutorial's 28.
"""

from im2txt.configuration import (
    EncoderConfig,
    ExperimentConfig,
    InputConfig,
    OptimizationConfig,
    TrainingConfig,
    WholeDescriptionConfig,
)


def get_config() -> ExperimentConfig:
    """Returns the experiment."""
    return ExperimentConfig(
        input=InputConfig(batch_size=32, shuffle_buffer_examples=30_000),
        encoder=EncoderConfig(backbone="MobileNetV2", crop_fraction=1.0),
        decoder=WholeDescriptionConfig(),
        optimization=OptimizationConfig(optimizer="adam", learning_rate=1e-3, schedule="constant", clip_norm=0.0),
        training=TrainingConfig(num_epochs=20, early_stopping_evaluations=4),
    )
