"""Show, Attend and Tell's soft attention on Flickr8k, over the places of a frozen MobileNet V2.

Result with EfficientNet-Lite2 in bfloat16, ended by hand after 6 of 8 epochs: best after 4, perplexity 13.90 on val; on
test at beam 3 BLEU-4 20.5, CIDEr-D 54.1 (`docs/forebears.md`).

    python -m data_prep.cache_features --config=show_attend_tell --data_dir=/data/shards --output_dir=/data/features
    python -m im2txt.train --config=show_attend_tell --workdir=/data/run --config.input.data_dir=/data/features

Source: Xu et al., arXiv 1502.03044: the decoder and the doubly stochastic penalty; the training is that of
`flickr8k`, so that the two can be compared. The penalty's weight is a tenth of the paper's 1: with P places and far
fewer words most of it cannot be avoided, and at 1 it outweighs the words.
"""

from im2txt.configuration import (
    DecodingConfig,
    EncoderConfig,
    ExperimentConfig,
    InputConfig,
    OptimizationConfig,
    SoftAttentionConfig,
    TrainingConfig,
)


def get_config() -> ExperimentConfig:
    """Returns the experiment."""
    return ExperimentConfig(
        input=InputConfig(batch_size=64, shuffle_buffer_examples=5_000),
        encoder=EncoderConfig(backbone="MobileNetV2", crop_fraction=1.0, pooling="grid"),
        decoder=SoftAttentionConfig(
            attention_size=256,
            attention_penalty=0.1,
            input_dropout_rate=0.4,
            output_dropout_rate=0.5,
            log_frequency_bias=True,
        ),
        optimization=OptimizationConfig(
            optimizer="adamw", learning_rate=1e-3, schedule="cosine", warmup_steps=200, weight_decay=0.05
        ),
        training=TrainingConfig(num_epochs=16, early_stopping_evaluations=4),
        decoding=DecodingConfig(beam_size=3, length_normalization_factor=0.9),
    )
