"""The original im2txt's second phase on COCO: Inception v3 is trained too, for two million steps more.

Cost: several weeks on the K20m of its time. Result: perplexity 8.44 after a million of its steps, as measured by others
(KranthiGV/Pretrained-Show-and-Tell-model, #4). Not yet run here.

    python -m im2txt.train --config=im2txt_finetune --workdir=/data/tuned --config.training.start_from=/data/run
        --config.input.data_dir=/data/coco_shards

As in the original, training Inception v3 brings with it statistics of the batch in its normalisation, dropout of a
fifth of its features, and L2 on its kernels. Steps count from 0; the original went on counting, to 3,000,000.

Source: as `im2txt`, and slim's Inception v3.
"""

import dataclasses

from configs import im2txt
from im2txt.configuration import ExperimentConfig, OptimizationConfig, ShowAndTellConfig


def get_config() -> ExperimentConfig:
    """Returns the experiment."""
    first = im2txt.get_config()
    return dataclasses.replace(
        first,
        encoder=dataclasses.replace(
            first.encoder,
            trainable=True,
            update_batch_norm=True,
            batch_norm_momentum=0.9997,
            l2_regularization=4e-5,
        ),
        decoder=ShowAndTellConfig(image_dropout_rate=0.2),
        optimization=OptimizationConfig(learning_rate=0.0005, schedule="constant"),
        training=dataclasses.replace(first.training, num_epochs=2_000_000 * im2txt.COCO_EPOCHS_PER_STEP),
    )
