"""A Transformer decoder on Flickr8k, over the places of a frozen MobileNet V2.

Result with EfficientNet-Lite2 in bfloat16, 8 epochs: best after 7 epochs, perplexity 14.78 on val; on test at beam 3
BLEU-4 20.2, CIDEr-D 51.4 (`docs/forebears.md`).

    python -m data_prep.cache_features --config=transformer --data_dir=/data/shards --output_dir=/data/features
    python -m im2txt.train --config=transformer --workdir=/data/run --config.input.data_dir=/data/features

Source: Vaswani et al., arXiv 1706.03762, small for few captions; the training is that of `flickr8k` but for a lower
rate and a longer warm-up, which Transformers need.
"""

from im2txt.configuration import (
    DecodingConfig,
    EncoderConfig,
    ExperimentConfig,
    InputConfig,
    OptimizationConfig,
    TrainingConfig,
    TransformerConfig,
)


def get_config() -> ExperimentConfig:
    """Returns the experiment."""
    return ExperimentConfig(
        input=InputConfig(batch_size=64, shuffle_buffer_examples=5_000),
        encoder=EncoderConfig(backbone="MobileNetV2", crop_fraction=1.0, pooling="grid"),
        decoder=TransformerConfig(
            model_size=256, num_layers=2, num_heads=4, feedforward_size=1024, dropout_rate=0.3, log_frequency_bias=True
        ),
        optimization=OptimizationConfig(
            optimizer="adamw",
            learning_rate=5e-4,
            schedule="cosine",
            warmup_steps=800,
            clip_norm=1.0,
            weight_decay=0.05,
            label_smoothing=0.1,
        ),
        training=TrainingConfig(num_epochs=16, early_stopping_evaluations=4),
        decoding=DecodingConfig(beam_size=3, length_normalization_factor=0.9),
    )
