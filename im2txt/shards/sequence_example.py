"""The protocol buffer `tf.SequenceExample` without TensorFlow, whose import alone can take longer than a check."""

from __future__ import annotations

from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "im2txt"
# Of the same encoding as TensorFlow's messages, which declare the entries as maps. The floats of a list are one packed
# field, taken as it stands for NumPy.
_MESSAGES: dict[str, tuple[tuple[str, int, bool, int | str], ...]] = {
    "BytesList": (("value", 1, True, _Field.TYPE_BYTES),),
    "FloatList": (("value", 1, False, _Field.TYPE_BYTES),),
    "Int64List": (("value", 1, True, _Field.TYPE_INT64),),
    "Feature": (
        ("bytes_list", 1, False, "BytesList"),
        ("float_list", 2, False, "FloatList"),
        ("int64_list", 3, False, "Int64List"),
    ),
    "FeatureEntry": (("key", 1, False, _Field.TYPE_STRING), ("value", 2, False, "Feature")),
    "Features": (("feature", 1, True, "FeatureEntry"),),
    "FeatureList": (("feature", 1, True, "Feature"),),
    "FeatureListEntry": (("key", 1, False, _Field.TYPE_STRING), ("value", 2, False, "FeatureList")),
    "FeatureLists": (("feature_list", 1, True, "FeatureListEntry"),),
    "SequenceExample": (("context", 1, False, "Features"), ("feature_lists", 2, False, "FeatureLists")),
}


def _make_classes(*names: str) -> list[Any]:
    file = descriptor_pb2.FileDescriptorProto(name="sequence_example.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, is_repeated, kind in fields:
            message.field.add(
                name=field,
                number=number,
                label=_Field.LABEL_REPEATED if is_repeated else _Field.LABEL_OPTIONAL,
                type=_Field.TYPE_MESSAGE if isinstance(kind, str) else kind,
                type_name=f".{_PACKAGE}.{kind}" if isinstance(kind, str) else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return [message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in names]


Feature, SequenceExample = _make_classes("Feature", "SequenceExample")


def stored_features(feature: Any) -> np.ndarray | None:
    """Returns the numbers of a record's `image/features`, flat, in the type they are stored in (see `records`)."""
    if len(feature.bytes_list.value) == 1:
        content = feature.bytes_list.value[0]
        return np.frombuffer(content, "<f2") if content and len(content) % 2 == 0 else None
    return np.frombuffer(feature.float_list.value, "<f4") if feature.float_list.value else None
