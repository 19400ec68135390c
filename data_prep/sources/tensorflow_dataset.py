"""Any `tensorflow-datasets` data set that has photographs and captions.

Shards are written from image files, by several processes; so the photographs are first exported, as they are encoded in
the data set, into a staging folder. The export is done once and goes on where it was interrupted.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from typing import Any

from data_prep.sources import base
from data_prep.sources.split_names import usual_split
from im2txt.system import storage, tensorflow_startup

_OPTIONS_NAME = "export_options.json"
_INDEX_NAME = "photographs.jsonl"


@dataclasses.dataclass(frozen=True)
class TensorflowDataset:
    """A `tensorflow-datasets` data set, by its name or as the folder of a prepared one."""

    dataset: str
    """Name, e.g. coco_captions/2014:1.1.0, or the folder that holds a prepared data set's dataset_info.json."""
    staging_dir: str
    """Folder to export the photographs to; made if need be. Keep it until the shards are built."""
    tfds_data_dir: str | None = None
    """Where tensorflow-datasets keeps its data sets; None is its own default."""
    download: bool = False
    """Whether to let tensorflow-datasets download and prepare a named data set that is not there yet."""
    image_feature: str = "image"
    """Feature of the photograph."""
    captions_feature: str = "captions/text"
    """Feature of the captions: a text or a sequence of texts. A slash leads into a nested feature."""
    id_feature: str = ""
    """Integer feature of the photograph's number (coco_captions: image/id); by default a hash of its file name."""
    name_feature: str = ""
    """Text feature of the photograph's file name (coco_captions: image/filename); by default its position."""
    dataset_splits: tuple[str, ...] = ()
    """Splits to read as THEIRS=OURS, e.g. validation=val train[:80%]=train; by default all, and names such as
    validation are understood."""

    def __post_init__(self) -> None:
        for split in self.dataset_splits:
            theirs, _, ours = split.rpartition("=")
            if not theirs:
                raise ValueError(f"--dataset_splits: {split!r} is not of the form THEIRS=OURS, such as validation=val.")
            usual_split(ours)

    def read(self) -> Iterator[base.CaptionedImage]:
        """Exports what is not exported yet, then yields the photographs in the data set's order.

        Raises:
            FileNotFoundError: if the data set is not prepared and may not be downloaded.
            ValueError: if a feature is not there or of another kind, a split has no usual name, two photographs share a
                name, or the staging folder holds another export.
        """
        self._check_staging_dir()
        index = storage.join(self.staging_dir, _INDEX_NAME)
        if not storage.exists(index):
            rows = [json.dumps(row, ensure_ascii=True) for row in self._export()]
            storage.write_text(index, "".join(f"{row}\n" for row in rows))
        for line in storage.read_text(index).splitlines():
            row = json.loads(line)
            file_name, path = base.locate_image(self.staging_dir, row["file_name"])
            yield base.CaptionedImage(row["image_id"], file_name, path, tuple(row["captions"]), row["split"])

    def _options(self) -> dict[str, Any]:
        """Returns what decides the export's content."""
        options = dataclasses.asdict(self) | {"dataset_splits": list(self.dataset_splits)}
        return {name: options[name] for name in options if name not in ("staging_dir", "tfds_data_dir", "download")}

    def _check_staging_dir(self) -> None:
        path = storage.join(self.staging_dir, _OPTIONS_NAME)
        if not storage.exists(path):
            return
        found, options = json.loads(storage.read_text(path)), self._options()
        differing = sorted(name for name in options if options[name] != found.get(name))
        if differing:
            raise ValueError(
                f"--staging_dir={self.staging_dir} holds another export; {', '.join(differing)} differ. Name another "
                "folder, or delete that one."
            )

    def _export(self) -> Iterator[dict[str, Any]]:
        """Writes the photographs that are not there yet; yields a row of the index for each."""
        tensorflow_startup.start_tensorflow()
        import tensorflow_datasets as tfds  # Deferred: it takes seconds to import, and a finished export needs none.

        builder = self._builder(tfds)
        paths = {
            feature: _keys(tfds, builder.info.features, feature)
            for feature in (self.image_feature, self.captions_feature, self.id_feature, self.name_feature)
            if feature
        }
        if not isinstance(_follow(builder.info.features, paths[self.image_feature]), tfds.features.Image):
            raise ValueError(f"--image_feature={self.image_feature} of {builder.info.full_name} is no image.")
        decoders = tfds.decode.PartialDecoding(
            _nested(dict.fromkeys(paths.values(), True)),
            decoders=_nested({paths[self.image_feature]: tfds.decode.SkipDecoding()}),
        )
        storage.make_directory(self.staging_dir)
        options = json.dumps(self._options(), indent=1, sort_keys=True)
        storage.write_text(storage.join(self.staging_dir, _OPTIONS_NAME), options + "\n")
        names: set[str] = set()
        positions: dict[str, int] = {}
        for theirs, ours in self._splits(list(builder.info.splits)):
            # One file after the other, so that the order is the one of the data set's files.
            read_config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
            dataset = builder.as_dataset(split=theirs, decoders=decoders, shuffle_files=False, read_config=read_config)
            for example in dataset.as_numpy_iterator():
                values = {feature: _follow(example, keys) for feature, keys in paths.items()}
                image = bytes(values[self.image_feature])
                position = positions.setdefault(ours, 0)
                positions[ours] += 1
                name = f"{position:08d}{_ending(image)}"
                if self.name_feature:
                    name = bytes(values[self.name_feature]).decode("utf-8", "surrogateescape")  # Refused just below.
                file_name, path = base.locate_image(self.staging_dir, f"{ours}/{name}")
                if file_name in names:
                    raise ValueError(f"{builder.info.full_name}: two photographs of '{ours}' are called {name!r}.")
                names.add(file_name)
                if not storage.exists(path) or storage.size(path) != len(image):
                    storage.make_directory(os.path.dirname(path))
                    storage.write_bytes(path, image)
                image_id = int(values[self.id_feature]) if self.id_feature else base.stable_image_id(file_name)
                captions = _captions(values[self.captions_feature])
                yield {"image_id": image_id, "file_name": file_name, "split": ours, "captions": captions}

    def _builder(self, tfds: Any) -> Any:
        if storage.exists(storage.join(self.dataset, "dataset_info.json")):
            return tfds.builder_from_directory(self.dataset)
        try:
            builder = tfds.builder(self.dataset, data_dir=self.tfds_data_dir)
        except ValueError as error:
            raise ValueError(
                f"--dataset={self.dataset} is neither a folder with a dataset_info.json nor a data set that "
                f"tensorflow-datasets knows: {str(error).splitlines()[0]}"
            ) from error
        if not builder.is_prepared():
            if not self.download:
                raise FileNotFoundError(
                    f"{builder.info.full_name} is not prepared in {builder.data_dir}. Give --download to have "
                    "tensorflow-datasets fetch it, or name the folder of a prepared one."
                )
            builder.download_and_prepare()
        return builder

    def _splits(self, theirs: list[str]) -> list[tuple[str, str]]:
        pairs = [(theirs, ours) for theirs, _, ours in (split.rpartition("=") for split in self.dataset_splits)]
        return [(theirs, usual_split(ours)) for theirs, ours in pairs or [(name, name) for name in theirs]]


def _keys(tfds: Any, features: Any, path: str) -> tuple[str, ...]:
    """Returns the keys that lead to a feature; a key may hold slashes itself, as `image/filename` does."""
    found = _search(tfds, features, path)
    if not found:
        raise ValueError(f"The data set has no feature {path!r}; it has {', '.join(sorted(features.keys()))}.")
    return found


def _search(tfds: Any, features: Any, path: str) -> tuple[str, ...]:
    if isinstance(features, tfds.features.Sequence):
        features = features.feature
    if not isinstance(features, tfds.features.FeaturesDict):
        return ()
    if path in features:
        return (path,)
    for key in features:
        if path.startswith(f"{key}/") and (rest := _search(tfds, features[key], path[len(key) + 1 :])):
            return (key, *rest)
    return ()


def _follow(tree: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        tree = tree[key]
    return tree


def _nested(leaves: dict[tuple[str, ...], Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for keys, leaf in leaves.items():
        branch = tree
        for key in keys[:-1]:
            branch = branch.setdefault(key, {})
        branch[keys[-1]] = leaf
    return tree


def _captions(value: Any) -> list[str]:
    texts = [value] if isinstance(value, bytes) else value.tolist()
    # Bytes that are no UTF-8 survive as lone surrogates, for the caption to be counted as not UTF-8.
    return [text.decode("utf-8", "surrogateescape") for text in texts]


def _ending(image: bytes) -> str:
    return ".png" if image.startswith(b"\x89PNG") else ".jpg"
