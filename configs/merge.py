"""The Keras tutorial's merge model on Flickr8k's captions, with the features of this project's encoder.

Result with EfficientNet-Lite2, stopped after two validations without a better one: perplexity 15.32 on val; on test at
beam 3 BLEU-4 18.8, CIDEr-D 46.0 (`docs/forebears.md`).

    python -m data_prep.cache_features --config=merge --data_dir=/data/shards --output_dir=/data/features
    python -m im2txt.train --config=merge --workdir=/data/run --config.input.data_dir=/data/features

Source: Brownlee, "How to Develop a Deep Learning Photo Caption Generator from Scratch": Adam as Keras has it, 20
epochs, the best one by validation kept. There 32 pairs of prefix and next word make a step, here 32 captions, about
350 pairs in one pass; features are fc2 of VGG16; all words are kept (`--tokenizer=clean --min_word_count=1`).
"""

from im2txt.configuration import (
    EncoderConfig,
    ExperimentConfig,
    InputConfig,
    MergeConfig,
    OptimizationConfig,
    TrainingConfig,
)


def get_config() -> ExperimentConfig:
    """Returns the experiment."""
    return ExperimentConfig(
        input=InputConfig(batch_size=32, shuffle_buffer_examples=30_000),
        encoder=EncoderConfig(backbone="MobileNetV2", crop_fraction=1.0),
        decoder=MergeConfig(),
        optimization=OptimizationConfig(optimizer="adam", learning_rate=1e-3, schedule="constant", clip_norm=0.0),
        training=TrainingConfig(num_epochs=20, early_stopping_evaluations=4),
    )
