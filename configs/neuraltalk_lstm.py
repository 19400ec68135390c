"""NeuralTalk's LSTM on Flickr8k's captions, with the features of this project's encoder.

Result with EfficientNet-Lite2: best after 20 epochs, perplexity 13.68 on val; on test at beam 3
BLEU-4 18.9, CIDEr-D 45.8 (`docs/forebears.md`).

    python -m data_prep.cache_features --config=neuraltalk_lstm --data_dir=/data/shards --output_dir=/data/features
    python -m im2txt.train --config=neuraltalk_lstm --workdir=/data/run --config.input.data_dir=/data/features

Source: NeuralTalk's driver.py, its defaults (github.com/karpathy/neuraltalk, 2015): RMSProp without mean subtracted,
100 sentences a step, dropout of a half before and after. There features are fc7 of VGG16 and words that occur 5 times
are kept (`--min_word_count=5`); its loss is a sum over a sentence's words where ours is their mean, so that its
clipping at 5 is ours at 0.4. Its weight decay of 1e-8 is left out, and a word outside the vocabulary is `<UNK>` here,
dropped there.
"""

from im2txt.configuration import (
    EncoderConfig,
    ExperimentConfig,
    InputConfig,
    NeuralTalkLstmConfig,
    OptimizationConfig,
    TrainingConfig,
)


def get_config() -> ExperimentConfig:
    """Returns the experiment."""
    return ExperimentConfig(
        input=InputConfig(batch_size=100, shuffle_buffer_examples=30_000),
        encoder=EncoderConfig(backbone="MobileNetV2", crop_fraction=1.0),
        decoder=NeuralTalkLstmConfig(),
        optimization=OptimizationConfig(
            optimizer="rmsprop",
            square_decay=0.999,
            learning_rate=1e-3,
            schedule="constant",
            clip_value=0.4,
            clip_norm=0.0,
        ),
        training=TrainingConfig(num_epochs=50, early_stopping_evaluations=5, stop_above_perplexity=1000.0),
    )
