"""Fields of the section `encoder`: default, unit and range of each."""

from __future__ import annotations

import dataclasses
import os
from typing import Literal

from im2txt.config_sections.checks import check, check_types

IMAGENET_WEIGHTS = "imagenet"
NO_WEIGHTS = "none"
GIVEN_FEATURES_SUFFIX = ".mat"
ResizeMethod = Literal["half_pixel", "legacy"]


@dataclasses.dataclass(frozen=True)
class EncoderConfig:
    """The network that turns a photograph into features."""

    backbone: str = "InceptionV3"
    """A network of keras.applications by its name there, SmallCNN, which trains from scratch in minutes, or the path of
    a saved Keras model without its classifier, which ends in .keras (see `docs/encoders.md`), or the file of features,
    which ends in .mat, that `data_prep.import_features` took (see `docs/data_neuraltalk.md`)."""
    weights: str = IMAGENET_WEIGHTS
    """`imagenet`, the path of a Keras weight file without the top layers, `none` for random weights, or for InceptionV3
    the path of a checkpoint of slim or the original im2txt. A saved model has its own, and this is not looked at."""
    image_size: int = 0
    """Side of the square input in pixels; 0 takes the backbone's own."""
    crop_fraction: float = 299 / 346
    """Share of the photograph's height and width that is kept: at the centre, or anywhere when distorting."""
    resize: ResizeMethod = "half_pixel"
    """`legacy` samples photographs as TensorFlow 1 did, which the weights of an imported model are used to."""
    pooling: Literal["avg", "max", "flatten", "grid"] = "avg"
    """How the last feature map [h, w, c] becomes one vector; `flatten` keeps the places of things. `grid` makes
    [h * w, c] of it instead, its places row by row, for decoders that look at one place after the other."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Number type of the network's layers in training, its validations and the caching of features; weights, pooling,
    `evaluate` and captions keep float32."""
    trainable: bool = False
    """Whether the encoder is trained too."""
    train_from_epoch: float = 0.0
    """Epoch from which a trainable encoder is trained: the decoder learns alone before."""
    update_batch_norm: bool = False
    """Whether a trained encoder's batch normalisation uses and updates the statistics of the whole batch, over all
    replicas, instead of those it came with."""
    batch_norm_momentum: float = 0.0
    """Share of the old in an update of those statistics; 0 takes the network's own."""
    l2_regularization: float = 0.0
    """Half this times the sum of a trained encoder's squared kernels is added to the loss."""

    @property
    def is_saved_model(self) -> bool:
        """Whether the backbone is a file."""
        return self.backbone.endswith(".keras")

    @property
    def is_given_features(self) -> bool:
        """Whether the backbone is a file of features that came without the network that made them."""
        return self.backbone.endswith(GIVEN_FEATURES_SUFFIX)

    @property
    def backbone_name(self) -> str:
        """The backbone, wherever its file lies."""
        return os.path.basename(self.backbone) if self.is_saved_model or self.is_given_features else self.backbone

    @property
    def weights_name(self) -> str:
        """The weights, wherever their file lies."""
        return self.backbone_name if self.is_saved_model else os.path.basename(self.weights)

    @property
    def feature_rank(self) -> int:
        """Dimensions of one photograph's features: 1 for a vector [F], 2 for a grid [P, C]."""
        return 2 if self.pooling == "grid" and not self.is_given_features else 1

    def __post_init__(self) -> None:
        check_types(self, "encoder")
        check(self.image_size >= 0, "encoder.image_size", self.image_size, "must be 0 or a number of pixels")
        check(0 < self.crop_fraction <= 1, "encoder.crop_fraction", self.crop_fraction, "must be in (0, 1]")
        check(bool(self.weights), "encoder.weights", self.weights, "must be `imagenet`, `none` or a path")
        for name in ("train_from_epoch", "l2_regularization"):
            check(getattr(self, name) >= 0, f"encoder.{name}", getattr(self, name), "must not be negative")
        momentum = self.batch_norm_momentum
        check(0 <= momentum < 1, "encoder.batch_norm_momentum", momentum, "must be in [0, 1)")
        check(
            momentum == 0 or self.update_batch_norm,
            "encoder.batch_norm_momentum",
            momentum,
            "needs encoder.update_batch_norm=True",
        )
        for name in ("train_from_epoch", "update_batch_norm", "l2_regularization"):
            value = getattr(self, name)
            check(self.trainable or not value, f"encoder.{name}", value, "needs encoder.trainable=True")
