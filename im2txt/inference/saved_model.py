"""A trained run as one SavedModel: JPEG bytes in, captions out; decoder, encoder, search and words are inside.

The folder is what `tf.saved_model.load` and TensorFlow Serving read; whoever loads it needs TensorFlow alone. Beside
the model lie its vocabulary and a card that says what it is.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from typing import Any

import tensorflow as tf

from im2txt.decoding.caption_generator import build_search
from im2txt.images.preprocessing import prepare_image, prepare_pixels
from im2txt.inference.exported_folder import FROM_FILES, FROM_IMAGES, FROM_PREPARED, PREPARE, check_new_folder
from im2txt.runs.run_folder import Run, load_run
from im2txt.system import storage
from im2txt.text import vocabulary
from im2txt.text.graph_detokenization import build_detokenizer

CARD_NAME = "model_card.md"
_CARD = """# Caption model

Writes captions for photographs. Trained with im2txt: run `{name}`, step {step}.

| part | what |
|---|---|
| encoder | {encoder} |
{decoder}
| vocabulary | {vocabulary} |
| search | {search} |

`serving_default` takes `encoded_images` string [N]: JPEG, PNG, GIF or BMP files. `from_images` takes `images` float32
[N, H, W, 3], RGB in [0, 1]. Both return, K being the beam and L the most words:

- `captions` string [N, K], best first; empty where fewer than K were found
- `log_probs` float32 [N, K], nats; `scores` float32 [N, K], what captions are ranked by
- `word_ids` int32 [N, K, L], `word_log_probs` float32 [N, K, L] and `lengths` int32 [N, K], `<S>` and `</S>` counted

```python
import tensorflow as tf
model = tf.saved_model.load("THIS_FOLDER")
with open("cat.jpg", "rb") as file:
    result = model.signatures["serving_default"](encoded_images=tf.constant([file.read()]))
print(result["captions"][0, 0].numpy().decode())
```

`prepare_images` and `from_prepared_images` are `serving_default` in two steps, for services that decode each photograph
by itself and caption them together: `encoded_images` to `images` float32 [N, S, S, 3], and those to the captions.

One photograph that does not decode fails the whole call. The EXIF orientation of a camera is not followed. Captions
repeat the habits and the mistakes of those the model learned from: do not rely on them where a mistake does harm.
"""


class ExportedCaptioner(tf.Module):
    """What goes into the SavedModel: a run's captioner, search and words behind two signatures."""

    def __init__(self, run: Run):
        """Takes a run loaded with its encoder; ValueError if it was loaded without."""
        super().__init__(name="captioner")
        captioner = run.captioner
        encoder = captioner.encoder
        if encoder is None:
            raise ValueError("The run was loaded without its encoder, and an exported model starts from photographs.")
        # A module does not find the variables of Keras 3 layers by itself.
        self.held_variables = [*captioner.decoder.variables.values(), *encoder.variables.values()]
        # For whoever finds the folder's word_counts.txt beside it, and must know that it is whole.
        self.vocabulary_sha256 = tf.Variable(run.vocabulary.fingerprint(), trainable=False)
        self._format = encoder.image_format
        self._search = build_search(captioner, run.vocabulary, run.config.decoding)
        self._detokenize = build_detokenizer(run.vocabulary, run.tokenizer)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="encoded_images")])
    def from_encoded_images(self, encoded_images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Captions JPEG, PNG, GIF (first frame) or BMP files, string [N]; one that does not decode fails the call."""
        return self._caption(self._prepare(encoded_images))

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32, name="images")])
    def from_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Captions pixels, float32 [N, H, W, 3], RGB in [0, 1], of any one size."""
        return self._caption(prepare_pixels(images, self._format))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="encoded_images")])
    def prepare_images(self, encoded_images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Decodes, resizes and crops files, string [N], to `images` float32 [N, S, S, 3] in [0, 1]."""
        return {"images": self._prepare(encoded_images)}

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32, name="images")])
    def from_prepared_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Captions what `prepare_images` returns, without preparing it again."""
        size = self._format.image_size
        return self._caption(tf.ensure_shape(images, [None, size, size, 3]))

    def _prepare(self, encoded_images: tf.Tensor) -> tf.Tensor:
        size = self._format.image_size
        return tf.map_fn(
            lambda encoded_image: prepare_image(encoded_image, self._format),
            encoded_images,
            fn_output_signature=tf.TensorSpec([size, size, 3], tf.float32),
        )

    def _caption(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        result = self._search({"images": images})
        return {
            "captions": self._detokenize(result.word_ids, result.lengths),
            "log_probs": result.log_probs,
            "scores": result.scores,
            "word_ids": result.word_ids,
            "word_log_probs": result.word_log_probs,
            "lengths": result.lengths,
        }


def export_run(workdir: str, output_dir: str, decoding: dict[str, Any]) -> Run:
    """Writes a run's best checkpoint as a SavedModel; see `write_saved_model`.

    Args:
        workdir: the run's folder.
        output_dir: a local folder that is not there yet.
        decoding: fields of `DecodingConfig` that replace the run's.

    Returns:
        The run, with the decoding that was exported.

    Raises:
        FileNotFoundError: if the folder holds no run or no checkpoint.
        ValueError: if its parts do not belong together, or `output_dir` is there already.
        RuntimeError: if all of its checkpoints are damaged.
    """
    check_new_folder(output_dir)
    run = load_run(workdir)
    config = dataclasses.replace(run.config, decoding=run.config.decoding.replaced(decoding))
    run = dataclasses.replace(run, config=config)
    write_saved_model(run, output_dir, name=os.path.basename(os.path.abspath(workdir)))
    return run


def write_saved_model(run: Run, output_dir: str, name: str) -> None:
    """Writes a SavedModel with its vocabulary and card, whole or not at all.

    Args:
        run: loaded with its encoder.
        output_dir: a local folder that is not there yet.
        name: the run's, for the card.

    Raises:
        ValueError: if the run has no encoder, or `output_dir` is there already.
    """
    check_new_folder(output_dir)
    module = ExportedCaptioner(run)
    target = os.path.abspath(output_dir)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    temporary = storage.temporary_path(target)
    try:
        signatures = {
            FROM_FILES: module.from_encoded_images,
            FROM_IMAGES: module.from_images,
            PREPARE: module.prepare_images,
            FROM_PREPARED: module.from_prepared_images,
        }
        tf.saved_model.save(module, temporary, signatures)
        storage.write_text(os.path.join(temporary, vocabulary.FILE_NAME), run.vocabulary.to_text())
        storage.write_text(os.path.join(temporary, CARD_NAME), _card(run, name))
        os.rename(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _card(run: Run, name: str) -> str:
    encoder, decoding = run.config.encoder, run.config.decoding
    weights = f"{'trained' if encoder.trainable else 'frozen'}, weights {encoder.weights_name}"
    method = decoding.method.replace("_", " ")
    search = f"{method} {decoding.beam_size}, at most {decoding.max_caption_length} words with `<S>` and `</S>`"
    decoder = "\n".join(
        f"| decoder.{field} | {value} |" for field, value in dataclasses.asdict(run.config.decoder).items()
    )
    return _CARD.format(
        name=name,
        step=run.step,
        encoder=f"{encoder.backbone_name}, {weights}",
        decoder=decoder,
        vocabulary=f"{len(run.vocabulary)} words, `{vocabulary.FILE_NAME}`; tokenizer `{run.tokenizer}`",
        search=f"{search}, length normalisation {decoding.length_normalization_factor:g}",
    )
