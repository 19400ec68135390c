"""NeuralTalk2 on COCO: VGG16 tuned after the decoder has learned alone, five captions of each photograph per step.

Not yet run. The original took two to three days on one GPU of 2015 for a CIDEr of 0.9, and stayed under 0.7 with the
encoder frozen.

    python -m im2txt.train --config=neuraltalk2 --workdir=/data/run --config.input.data_dir=/data/coco_shards

Source: train.lua of NeuralTalk2 (github.com/karpathy/neuraltalk2, 2015), its defaults and the README's way of tuning.
There the photograph passes fc7 of VGG16, here the mean of its last feature map.
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
        input=InputConfig(batch_size=16, captions_per_image=5),
        # A random crop of 224 pixels out of 256, squashed.
        encoder=EncoderConfig(backbone="VGG16", crop_fraction=224 / 256, trainable=True, train_from_epoch=1.0),
        decoder=ShowAndTellConfig(initializer_scale=0.1, input_dropout_rate=0.0, output_dropout_rate=0.5),
        optimization=OptimizationConfig(
            optimizer="adam",
            learning_rate=4e-4,
            momentum=0.8,
            schedule="staircase",
            decay_epochs=7.0,
            decay_factor=0.5,
            encoder_learning_rate_factor=0.025,  # 1e-5 of 4e-4
            clip_value=0.1,
            clip_norm=0.0,
        ),
        training=TrainingConfig(num_epochs=30),
    )
