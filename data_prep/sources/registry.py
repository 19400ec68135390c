"""Every kind of data set that `build_shards` takes, by the name it has on the command line. A new one is added here."""

from __future__ import annotations

from data_prep.sources.base import Source
from data_prep.sources.coco import Coco
from data_prep.sources.descriptions import Descriptions
from data_prep.sources.flickr8k import Flickr8k
from data_prep.sources.flickr30k import Flickr30k
from data_prep.sources.folder import Folder
from data_prep.sources.karpathy import Karpathy
from data_prep.sources.neuraltalk2 import Neuraltalk2
from data_prep.sources.table import Table
from data_prep.sources.tensorflow_dataset import TensorflowDataset

SOURCES: dict[str, type[Source]] = {
    "flickr8k": Flickr8k,
    "flickr30k": Flickr30k,
    "coco": Coco,
    "karpathy": Karpathy,
    "neuraltalk2": Neuraltalk2,
    "descriptions": Descriptions,
    "table": Table,
    "folder": Folder,
    "tensorflow_dataset": TensorflowDataset,
}
