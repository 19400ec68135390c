import base64

import numpy as np
import pytest
import tensorflow as tf

from im2txt.shards import records
from im2txt.shards.shard_reader import take_apart

# The pair example (7, b"\xff\xd8jpeg", "<S> a dog </S>", ids 1 0 300 2), written by the first version of this format.
GOLDEN_PAIR = (
    "CjMKGAoKaW1hZ2UvZGF0YRIKCggKBv/YanBlZwoXCg5pbWFnZS9pbWFnZV9pZBIFGgMKAQcSago0Cg1pbWFnZS9jYXB0aW9uEiMKBwoFCgM8Uz4K"
    "BQoDCgFhCgcKBQoDZG9nCggKBgoEPC9TPgoyChFpbWFnZS9jYXB0aW9uX2lkcxIdCgUaAwoBAQoFGgMKAQAKBhoECgKsAgoFGgMKAQI="
)


def original_pair_example(image_id: int, encoded_image: bytes, words: list[str], ids: list[int]) -> bytes:
    """A pair example the way the original im2txt makes one: out of TensorFlow's own protocol buffers."""

    def int64_feature(value: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    def bytes_feature(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    context = tf.train.Features(
        feature={"image/image_id": int64_feature(image_id), "image/data": bytes_feature(encoded_image)}
    )
    lists = tf.train.FeatureLists(
        feature_list={
            "image/caption": tf.train.FeatureList(feature=[bytes_feature(word.encode()) for word in words]),
            "image/caption_ids": tf.train.FeatureList(feature=[int64_feature(word_id) for word_id in ids]),
        }
    )
    return tf.train.SequenceExample(context=context, feature_lists=lists).SerializeToString()


PAIRS = [
    (0, b"\xff\xd8\xff", ["<S>", "</S>"], [1, 2]),
    (7, bytes(range(256)) * 3, ["<S>", "a", "café", "`", "</S>"], [1, 0, 300, 127, 2]),
    (2**63 - 1, b"", ["<S>", "x" * 200, "</S>"], [1, 128, 2**40]),
]


@pytest.mark.parametrize("pair", PAIRS)
def test_pair_examples_equal_the_original_proto_field_by_field(pair):
    image_id, encoded_image, words, ids = pair
    ours = tf.train.SequenceExample.FromString(records.encode_example(image_id, encoded_image, [words], [ids], "pair"))
    assert ours == tf.train.SequenceExample.FromString(original_pair_example(*pair))


def test_the_bytes_of_an_example_do_not_change():
    """If they must, shard_plan.PLAN_VERSION has to change with them: half-finished folders would mix both."""
    encoded = records.encode_example(7, b"\xff\xd8jpeg", [["<S>", "a", "dog", "</S>"]], [[1, 0, 300, 2]], "pair")
    assert base64.b64encode(encoded).decode() == GOLDEN_PAIR


def test_a_golden_example_of_the_first_version_still_reads():
    example = records.parse_example(tf.constant(base64.b64decode(GOLDEN_PAIR)), "pair")
    assert example["image_id"].numpy() == 7
    assert example["encoded_image"].numpy() == b"\xff\xd8jpeg"
    assert example["caption_ids"].to_list() == [[1, 0, 300, 2]]


def test_the_original_examples_parse():
    example = records.parse_example(
        tf.constant(original_pair_example(9, b"img", ["<S>", "a", "</S>"], [5, 6, 7])), "pair"
    )
    assert (example["image_id"].numpy(), example["encoded_image"].numpy()) == (9, b"img")
    assert example["caption_ids"].to_list() == [[5, 6, 7]]


def test_image_layout_holds_one_caption_per_step():
    serialized = records.encode_example(
        3, b"img", [["<S>", "a", "</S>"], ["<S>", "the", "dog", "</S>"]], [[1, 0, 2], [1, 9, 10, 2]], "image"
    )
    lists = tf.train.SequenceExample.FromString(serialized).feature_lists.feature_list
    assert [list(step.bytes_list.value) for step in lists["image/caption"].feature] == [
        [b"<S>", b"a", b"</S>"],
        [b"<S>", b"the", b"dog", b"</S>"],
    ]
    assert [list(step.int64_list.value) for step in lists["image/caption_ids"].feature] == [[1, 0, 2], [1, 9, 10, 2]]


def test_image_layout_round_trip_inside_a_pipeline():
    captions = [[[1, 0, 2]], [[1, 9, 10, 2], [1, 2], [1, 7, 7, 7, 2]]]
    examples = [
        records.encode_example(i, b"img%d" % i, [["w"] * len(ids) for ids in ragged], ragged, "image")
        for i, ragged in enumerate(captions)
    ]
    dataset = tf.data.Dataset.from_tensor_slices(examples).map(lambda e: records.parse_example(e, "image"))
    parsed = list(dataset)
    assert [example["caption_ids"].to_list() for example in parsed] == captions
    assert [example["encoded_image"].numpy() for example in parsed] == [b"img0", b"img1"]


@pytest.mark.parametrize("layout", ["image", "pair"])
def test_features_take_the_place_of_the_photograph(layout):
    serialized = records.encode_example(5, b"img" * 99, [["<S>", "a", "</S>"]], [[1, 0, 2]], layout)
    features = np.arange(6, dtype=np.float32).reshape(2, 3) / 7
    replaced = records.replace_image_with_features(serialized, features)
    example = records.parse_example(tf.constant(replaced), layout, (2, 3))
    assert sorted(example) == ["caption_ids", "features", "image_id"]
    np.testing.assert_array_equal(example["features"].numpy(), features)
    assert example["caption_ids"].to_list() == [[1, 0, 2]]
    assert len(replaced) < len(serialized)


def test_features_of_half_the_precision_take_half_the_bytes():
    serialized = records.encode_example(5, b"img", [["<S>", "a", "</S>"]], [[1, 0, 2]], "image")
    features = np.arange(600, dtype=np.float32).reshape(20, 30) / 7
    full, half = (records.replace_image_with_features(serialized, features.astype(t)) for t in ("float32", "float16"))
    assert len(full) - len(half) == pytest.approx(600 * 2, abs=4)
    (stored,) = tf.train.SequenceExample.FromString(half).context.feature["image/features"].bytes_list.value
    np.testing.assert_array_equal(np.frombuffer(stored, "<f2"), features.ravel().astype("<f2"))
    example = records.parse_example(tf.constant(half), "image", (20, 30), "float16")
    assert example["features"].dtype == tf.float16
    np.testing.assert_array_equal(example["features"], features.astype(np.float16))
    np.testing.assert_array_equal(take_apart(half, "image").features, features.ravel().astype(np.float16))
    np.testing.assert_array_equal(take_apart(full, "image").features, features.ravel())


def test_captions_that_do_not_fit_the_layout_are_refused():
    with pytest.raises(ValueError, match="Image 4 has 2 captions; layout 'pair' takes exactly one"):
        records.encode_example(4, b"", [["a"], ["b"]], [[0], [1]], "pair")
    with pytest.raises(ValueError, match="Image 4 has 0 captions; layout 'image' takes at least one"):
        records.encode_example(4, b"", [], [], "image")
    with pytest.raises(ValueError, match="Image 4: captions and caption_ids differ in length"):
        records.encode_example(4, b"", [["a", "b"]], [[0]], "image")
