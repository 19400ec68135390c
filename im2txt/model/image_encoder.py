"""Photographs to features: any backbone of keras.applications, frozen or trained.

Input size, value range and feature size belong to the backbone and stand here only.
"""

from __future__ import annotations

import collections
import dataclasses
import difflib
import hashlib
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from im2txt.configuration import IMAGENET_WEIGHTS, NO_WEIGHTS, EncoderConfig
from im2txt.images.preprocessing import ImageFormat
from im2txt.model.saved_backbone import load_saved_backbone, read_architecture
from im2txt.model.slim_inception import load_slim_inception, slim_variables

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STDDEV = (0.229, 0.224, 0.225)
_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
_POOLING = "pooling"  # The name of the layer.
_KERAS_ENDINGS = (".h5", ".hdf5", ".keras")


def _to_plus_minus_one(images: tf.Tensor) -> tf.Tensor:
    return images * 2.0 - 1.0


def _to_byte_range(images: tf.Tensor) -> tf.Tensor:
    return images * 255.0


def _to_centred_bgr(images: tf.Tensor) -> tf.Tensor:
    return tf.reverse(images, [-1]) * 255.0 - tf.constant(_CAFFE_MEAN_BGR)


def _to_standardised(images: tf.Tensor) -> tf.Tensor:
    return (images - tf.constant(_IMAGENET_MEAN)) / tf.constant(_IMAGENET_STDDEV)


@dataclasses.dataclass(frozen=True)
class _Family:
    """Backbones that share a value range. `image_sizes` gives each one's own input size in pixels."""

    scale: Callable[[tf.Tensor], tf.Tensor]
    image_sizes: dict[str, int]


_FAMILIES = (
    _Family(
        _to_plus_minus_one,
        {
            "InceptionV3": 299,
            "InceptionResNetV2": 299,
            "Xception": 299,
            "MobileNet": 224,
            "MobileNetV2": 224,
            "NASNetMobile": 224,
            "NASNetLarge": 331,
            "ResNet50V2": 224,
            "ResNet101V2": 224,
            "ResNet152V2": 224,
            "SmallCNN": 64,
        },
    ),
    _Family(_to_centred_bgr, dict.fromkeys(("ResNet50", "ResNet101", "ResNet152", "VGG16", "VGG19"), 224)),
    _Family(_to_standardised, dict.fromkeys(("DenseNet121", "DenseNet169", "DenseNet201"), 224)),
    _Family(  # These rescale their input themselves.
        _to_byte_range,
        {
            **dict(zip((f"EfficientNetB{i}" for i in range(8)), (224, 240, 260, 300, 380, 456, 528, 600), strict=True)),
            **dict(zip((f"EfficientNetV2B{i}" for i in range(4)), (224, 240, 260, 300), strict=True)),
            "EfficientNetV2S": 384,
            "EfficientNetV2M": 480,
            "EfficientNetV2L": 480,
            **{f"ConvNeXt{size}": 224 for size in ("Tiny", "Small", "Base", "Large", "XLarge")},
            "MobileNetV3Small": 224,
            "MobileNetV3Large": 224,
        },
    ),
)
_FAMILY_BY_BACKBONE = {name: family for family in _FAMILIES for name in family.image_sizes}


def backbone_image_size(config: EncoderConfig) -> int:
    """Returns the side of the input in pixels of a backbone that has a name; a saved model says its own.

    Raises:
        ValueError: if the backbone is unknown; the message names the nearest one.
    """
    if config.backbone not in _FAMILY_BY_BACKBONE:
        nearest = difflib.get_close_matches(config.backbone, _FAMILY_BY_BACKBONE, n=1)
        hint = f" Did you mean {nearest[0]}?" if nearest else ""
        known = ", ".join(sorted(_FAMILY_BY_BACKBONE))
        raise ValueError(
            f"encoder.backbone={config.backbone!r} is unknown.{hint} There are {known}, and saved models by their path "
            "(.keras)."
        )
    return config.image_size or _FAMILY_BY_BACKBONE[config.backbone].image_sizes[config.backbone]


class ImageEncoder:
    """A backbone without its classifier, and the pooling of its last feature map.

    Attributes:
        image_size: side of the input in pixels.
        image_format: how photographs are prepared for it.
        feature_shape: of one photograph's features: (F,), or (P, C) with pooling `grid`, its places row by row.
    """

    def __init__(self, config: EncoderConfig):
        """Builds the network and loads its weights.

        Raises:
            FileNotFoundError: if the weight file, or that of a saved model, is missing.
            ValueError: if the backbone is unknown, or only features of it are there; if the file's weights do not fit
                it, or a saved model is no encoder.
        """
        if config.is_given_features:
            raise ValueError(
                f"encoder.backbone={config.backbone!r}: these features came without the encoder that made them, so no "
                "photograph can be encoded or captioned; train and evaluate on the shards that hold the features."
            )
        self._config = config
        backbone = _saved_backbone(config) if config.is_saved_model else _named_backbone(config)
        self._scale = _to_byte_range if config.is_saved_model else _FAMILY_BY_BACKBONE[config.backbone].scale
        self._network = keras.Model(backbone.input, _pooled(backbone.output, config.pooling))
        _set_up_layers(self._network, config)
        self.image_size: int = self._network.input_shape[1]
        self.image_format = ImageFormat(self.image_size, config.crop_fraction, config.resize)
        self.feature_shape: tuple[int, ...] = tuple(self._network.output_shape[1:])

    def __call__(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Encodes photographs.

        Args:
            images: float32 [B, image_size, image_size, 3] in [0, 1].
            training: whether this step trains the encoder; all replicas must call it then.

        Returns:
            float32 [B, *feature_shape].
        """
        use_batch_statistics = training and self._config.trainable and self._config.update_batch_norm
        return tf.cast(self._network(self._scale(images), training=use_batch_statistics), tf.float32)

    @property
    def variables(self) -> dict[str, tf.Variable]:
        """All weights by stable name: `<layer's position>_<its class>/<weight>`."""
        # Keras counts unnamed layers over the whole process, so its own names differ from one build to the next.
        return {name: weight.value for name, weight in _named_weights(self._network.layers)}

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        """The weights that training changes; empty for a frozen encoder."""
        return [v.value for v in self._network.trainable_variables] if self._config.trainable else []

    def slim_variables(self) -> dict[str, tf.Variable]:
        """Returns the weights of Inception v3 by slim's names; ValueError if the backbone is another."""
        return {name: variable.value for name, variable in slim_variables(self._network).items()}

    def fingerprint(self) -> str:
        """Returns a SHA-256 (hex) over the names and values of all weights, and the architecture of a saved model."""
        digest = hashlib.sha256(read_architecture(self._config.backbone) if self._config.is_saved_model else b"")
        for name, variable in self.variables.items():
            digest.update(name.encode())
            digest.update(variable.numpy().tobytes())
        return digest.hexdigest()


def _named_weights(layers: list[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields each layer's weights by position; those of models within the model by their positions there."""
    for index, layer in enumerate(layers):
        name = f"{prefix}{index:03d}_{type(layer).__name__}/"
        if isinstance(layer, keras.Model):
            yield from _named_weights(layer.layers, name)
            continue
        seen: collections.Counter[str] = collections.Counter()
        for weight in layer.weights:
            seen[weight.name] += 1
            again = f"_{seen[weight.name]}" if seen[weight.name] > 1 else ""  # Of layers that hold others.
            yield f"{name}{weight.name}{again}", weight


def _saved_backbone(config: EncoderConfig) -> Any:
    if config.weights not in (IMAGENET_WEIGHTS, NO_WEIGHTS):
        raise ValueError(f"encoder.weights={config.weights!r}: a saved model has weights of its own; leave it out.")
    backbone = load_saved_backbone(config.backbone, config.image_size)
    if len(backbone.output_shape) == 2 and config.pooling == "grid":
        raise ValueError(
            f"encoder.backbone={config.backbone!r} gives a vector [{backbone.output_shape[1]}], and "
            "encoder.pooling=grid needs a feature map; save the model without its pooling, or use encoder.pooling=avg."
        )
    return backbone


def _named_backbone(config: EncoderConfig) -> Any:
    image_size = backbone_image_size(config)
    weights = None if config.weights == NO_WEIGHTS else config.weights
    slim_path = None if weights in (None, IMAGENET_WEIGHTS) or weights.endswith(_KERAS_ENDINGS) else weights
    if weights not in (None, IMAGENET_WEIGHTS) and not any(map(os.path.isfile, (weights, f"{weights}.index"))):
        raise FileNotFoundError(
            f"encoder.weights={weights!r} is no file. Name a Keras weight file without top layers, a checkpoint of "
            f"slim's Inception v3, or use `{IMAGENET_WEIGHTS}` (downloads once) or `{NO_WEIGHTS}` (random)."
        )
    if slim_path and config.backbone != "InceptionV3":
        raise ValueError(
            f"encoder.weights={weights!r} does not end in {', '.join(_KERAS_ENDINGS)}, so it is taken for a checkpoint "
            f"of TensorFlow 1; only encoder.backbone=InceptionV3 can be read from one, not {config.backbone}."
        )
    if config.backbone == "SmallCNN" and weights == IMAGENET_WEIGHTS:
        raise ValueError("encoder.weights=imagenet: SmallCNN has none; use encoder.weights=none.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # One per layer that does not fit; the error says it once.
            backbone = _build_backbone(config.backbone, None if slim_path else weights, (image_size, image_size, 3))
    except Exception as error:  # Keras has no narrower kind for a download that fails.
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"encoder.backbone={config.backbone!r} cannot be built with encoder.weights={config.weights!r} and an "
            f"image_size of {image_size}: {reason}"
        ) from error
    if slim_path:
        load_slim_inception(backbone, slim_path)
    return backbone


def _pooled(output: Any, pooling: str) -> Any:
    """Turns the last feature map [B, h, w, c] into features; a vector [B, F] is what it is."""
    if len(output.shape) == 2:
        return output
    match pooling:
        case "avg":
            return keras.layers.GlobalAveragePooling2D(name=_POOLING)(output)
        case "max":
            return keras.layers.GlobalMaxPooling2D(name=_POOLING)(output)
        case "flatten":
            return keras.layers.Flatten(name=_POOLING)(output)
        case _:
            return keras.layers.Reshape((-1, output.shape[-1]), name=_POOLING)(output)


def _set_up_layers(network: Any, config: EncoderConfig) -> None:
    """Gives the layers their number type, and batch normalisation its part in training."""
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            _set_up_layers(layer, config)
        if config.compute_dtype != "float32" and layer.name != _POOLING:
            layer.dtype_policy = f"mixed_{config.compute_dtype}"
        if config.update_batch_norm and isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True  # Statistics of each replica's part would drift apart.
            layer.momentum = config.batch_norm_momentum or layer.momentum


def _build_backbone(name: str, weights: str | None, input_shape: tuple[int, int, int]) -> Any:
    if name != "SmallCNN":
        return getattr(keras.applications, name)(include_top=False, weights=weights, input_shape=input_shape)
    backbone = _small_cnn(input_shape)
    if weights:
        backbone.load_weights(weights)
    return backbone


def _small_cnn(input_shape: tuple[int, int, int]) -> Any:
    """Four convolutions and poolings down to 1/16 of the resolution, 128 channels: learns shapes from scratch on a CPU.

    Pooling, because strided convolutions of this size hardly learn to tell shapes apart; normalised within each
    photograph, so that training and inference compute the same.
    """
    images = keras.Input(input_shape)
    x = images
    for index, filters in enumerate((16, 32, 64, 128)):
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"conv_{index}")(x)
        x = keras.layers.MaxPooling2D(name=f"pool_{index}")(x)
        x = keras.layers.GroupNormalization(8, name=f"norm_{index}")(x)
        x = keras.layers.ReLU(name=f"relu_{index}")(x)
    return keras.Model(images, x)
