"""Data preparation the way the original im2txt went about it, written anew for comparison; not for use.

Every caption becomes a record of its own that holds the photograph once more. Eight threads share one TensorFlow
session; for each caption the photograph is read and decoded to see whether it is sound, a protocol buffer is built,
and TensorFlow's writer writes it.

    python -m benchmarks.parts.original_preparation CAPTIONS.json IMAGES_DIR OUTPUT_DIR
"""

import collections
import json
import os
import random
import sys
import threading

import tensorflow as tf
from nltk.tokenize.destructive import NLTKWordTokenizer

NUM_SHARDS = 8
NUM_THREADS = 8
MIN_WORD_COUNT = 4

Pair = tuple[int, str, list[str]]  # image id, path, words


class Decoder:
    """One graph and session, fed with the bytes of one photograph at a time."""

    def __init__(self) -> None:
        graph = tf.Graph()
        with graph.as_default():
            self.encoded = tf.compat.v1.placeholder(tf.string)
            self.decoded = tf.io.decode_jpeg(self.encoded, channels=3)
        self.session = tf.compat.v1.Session(graph=graph)

    def check(self, encoded_image: bytes) -> None:
        """Decodes a photograph; TensorFlow's error if that fails."""
        image = self.session.run(self.decoded, {self.encoded: encoded_image})
        if image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"A photograph of shape {image.shape}.")


def main(captions_file: str, images_dir: str, output_dir: str) -> None:
    """Reads a COCO captions file and writes train shards and word_counts.txt."""
    os.makedirs(output_dir)
    with open(captions_file, encoding="utf-8") as file:
        content = json.load(file)
    paths = {image["id"]: os.path.join(images_dir, image["file_name"]) for image in content["images"]}
    tokenize = NLTKWordTokenizer().tokenize
    pairs: list[Pair] = []
    for annotation in content["annotations"]:
        words = ["<S>", *tokenize(annotation["caption"].lower()), "</S>"]
        pairs.append((annotation["image_id"], paths[annotation["image_id"]], words))
    word_ids = make_vocabulary(pairs, os.path.join(output_dir, "word_counts.txt"))
    random.seed(12345)
    random.shuffle(pairs)
    decoder = Decoder()
    threads = [
        threading.Thread(target=write_block, args=(pairs, number, word_ids, decoder, output_dir))
        for number in range(NUM_THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def make_vocabulary(pairs: list[Pair], path: str) -> dict[str, int]:
    """Counts words, writes those that occur often enough, and returns their ids."""
    counts = collections.Counter(word for _, _, words in pairs for word in words)
    kept = [(word, count) for word, count in counts.most_common() if count >= MIN_WORD_COUNT]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(f"{word} {count}" for word, count in kept))
    return {word: word_id for word_id, (word, _) in enumerate(kept)}


def write_block(pairs: list[Pair], number: int, word_ids: dict[str, int], decoder: Decoder, output_dir: str) -> None:
    """Writes one thread's share: one shard of contiguous pairs."""
    first, last = (i * len(pairs) // NUM_SHARDS for i in (number, number + 1))
    path = os.path.join(output_dir, f"train-{number:05d}-of-{NUM_SHARDS:05d}")
    with tf.io.TFRecordWriter(path) as writer:
        for image_id, image_path, words in pairs[first:last]:
            with tf.io.gfile.GFile(image_path, "rb") as file:
                encoded_image = file.read()
            decoder.check(encoded_image)
            writer.write(make_example(image_id, encoded_image, words, word_ids).SerializeToString())


def make_example(
    image_id: int, encoded_image: bytes, words: list[str], word_ids: dict[str, int]
) -> tf.train.SequenceExample:
    """Builds the protocol buffer of one pair."""
    ids = [word_ids.get(word, len(word_ids)) for word in words]
    return tf.train.SequenceExample(
        context=tf.train.Features(
            feature={"image/image_id": int64_feature(image_id), "image/data": bytes_feature(encoded_image)}
        ),
        feature_lists=tf.train.FeatureLists(
            feature_list={
                "image/caption": tf.train.FeatureList(feature=[bytes_feature(word.encode()) for word in words]),
                "image/caption_ids": tf.train.FeatureList(feature=[int64_feature(word_id) for word_id in ids]),
            }
        ),
    )


def int64_feature(value: int) -> tf.train.Feature:
    """A feature of one integer."""
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def bytes_feature(value: bytes) -> tf.train.Feature:
    """A feature of one string of bytes."""
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


if __name__ == "__main__":
    main(*sys.argv[1:])
