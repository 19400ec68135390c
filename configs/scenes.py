"""The embedded drawings: a small convolutional encoder and an LSTM, trained together from scratch.

python -m im2txt.train --config=scenes --workdir=/tmp/run --config.input.data_dir=/tmp/shards
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
        # Colours and places are what the captions speak of: nothing may be distorted.
        input=InputConfig(batch_size=32, captions_per_image=2, distort_images=False, bucketing_batches=1),
        encoder=EncoderConfig(
            backbone="SmallCNN", weights="none", crop_fraction=1.0, pooling="flatten", trainable=True
        ),
        decoder=ShowAndTellConfig(
            embedding_size=256,
            num_lstm_units=256,
            image_input="every_step",
            input_dropout_rate=0.0,
            output_dropout_rate=0.0,
            log_frequency_bias=True,
        ),
        optimization=OptimizationConfig(
            optimizer="adam", learning_rate=2e-3, schedule="cosine", warmup_steps=100, clip_norm=1.0
        ),
        training=TrainingConfig(num_epochs=4.4, eval_every_epochs=2.2, log_every_steps=100),
    )
