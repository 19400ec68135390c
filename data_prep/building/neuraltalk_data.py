"""NeuralTalk's folder of data: `dataset.json`, which is Karpathy's, and features in place of the photographs.

Source: NeuralTalk (github.com/karpathy/neuraltalk, 2015), its data provider.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from data_prep.sources.base import CaptionedImage, read_source_json
from data_prep.sources.karpathy import Karpathy

_MARK = "#"


@dataclasses.dataclass(frozen=True)
class NeuraltalkData:
    """Captions and splits from dataset.json; the i-th photograph is column i of the features."""

    dataset_file: str
    """The file dataset.json."""
    features_file: str
    """The file vgg_feats.mat, whose matrix has one column for each photograph of dataset.json."""

    def read(self) -> Iterator[CaptionedImage]:
        """Yields the photographs in the file's order; their path names the features' file and their column.

        Raises:
            FileNotFoundError: if dataset.json is missing.
            ValueError: if it is of another format, or has another order than its photographs' numbers (`imgid`) say.
        """
        self._check_order()
        for column, image in enumerate(Karpathy(self.dataset_file, images_dir="").read()):
            yield dataclasses.replace(image, path=f"{self.features_file}{_MARK}{column}")

    def _check_order(self) -> None:
        content = read_source_json(self.dataset_file, without=("sentences", "sentids"))
        images = content.get("images") if isinstance(content, dict) else None
        for position, record in enumerate(images if isinstance(images, list) else []):
            number = record.get("imgid", position) if isinstance(record, dict) else position
            if number != position:  # By which NeuralTalk finds a photograph's column.
                raise ValueError(
                    f"{self.dataset_file}, images[{position}]: 'imgid' is {number!r}. The i-th photograph is column i "
                    "of the features; give the file that belongs to them, with all its photographs."
                )


def column_of(path: str) -> int:
    """Returns the column that a photograph's path names."""
    return int(path.rpartition(_MARK)[2])
