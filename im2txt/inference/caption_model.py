"""What writes captions in the jobs of an engine: described in a few words, loaded once in each worker."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any, NamedTuple

from im2txt.system import tensorflow_startup

if TYPE_CHECKING:
    from im2txt.inference.record_captioner import RecordCaptioner


class Model(NamedTuple):
    """What writes the captions.

    Attributes:
        workdirs: folders of the runs; for features just one.
        decoding: fields of `DecodingConfig` that replace the first run's, as (name, value).
        batch_size: photographs computed with at once, also where there are fewer.
        num_threads: of TensorFlow in each worker; 0 takes what TensorFlow takes, all cores.
        features_dir: folder of feature shards, if their features are captioned; empty for photographs.
        with_attention: whether the best captions say where the decoder looked; of one run only.
    """

    workdirs: tuple[str, ...]
    decoding: tuple[tuple[str, Any], ...]
    batch_size: int
    num_threads: int
    features_dir: str = ""
    with_attention: bool = False


@functools.lru_cache(maxsize=1)
def load_captioner(model: Model) -> RecordCaptioner:
    """Loads a model, once in each process.

    Raises:
        FileNotFoundError: if a folder holds no run or no checkpoint.
        ValueError: if the runs' parts do not belong together, or the features to them.
        RuntimeError: if all checkpoints of a run are damaged.
    """
    tensorflow_startup.start_tensorflow()
    import tensorflow as tf  # Deferred: the process that hands out the jobs does without.

    from im2txt.inference.record_captioner import RecordCaptioner

    if model.num_threads:
        # RuntimeError: TensorFlow runs already, because this process has computed before, and keeps its threads.
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(model.num_threads)
            tf.config.threading.set_inter_op_parallelism_threads(model.num_threads)
    return RecordCaptioner(
        model.workdirs, dict(model.decoding), model.batch_size, model.features_dir, model.with_attention
    )
