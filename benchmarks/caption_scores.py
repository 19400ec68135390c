"""Scores of 5,000 images with 5 references each beside pycocoevalcap's Python part, and CIDEr-D as a reward.

pycocoevalcap is given words that are ready: its tokenizer, a Java program, is not timed. Ours begins with the captions
as written. `whole` is what `im2txt.evaluate --results` computes: scores, intervals, figures of every image, the best
constant caption and a person's captions. The reward scores batches of captions on document frequencies that are ready;
pycocoevalcap has its own ready too. There is no limit row: neither has a bound that hardware sets.

Run it as `python -m benchmarks.caption_scores` (it needs `pip install -r requirements-java-metrics.txt`, but no Java);
`--captions=Flickr8k.token.txt` takes people's captions instead of made ones. It takes a minute.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import random
from collections import defaultdict
from pathlib import Path

import numpy as np
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.cider.cider_scorer import CiderScorer
from pycocoevalcap.rouge.rouge import Rouge

from benchmarks.parts import timing
from im2txt.metrics.caption_metrics import METRICS, CaptionScorer
from im2txt.metrics.constant_caption import best_constant_caption
from im2txt.metrics.evaluation import evaluate
from im2txt.text.coco_tokenization import coco_tokens

IMAGES = 5000
REFERENCES = 5
BATCHES = (64, 320)

Hypotheses = dict[int, str]
References = dict[int, list[str]]


def made_captions(generator: random.Random) -> References:
    """Captions of 8 to 14 words, common words commoner, as many different ones as COCO's references have."""
    words = [f"word{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}{chr(97 + i // 676)}" for i in range(7000)]
    cumulative = np.cumsum([1 / (i + 3) for i in range(len(words))]).tolist()

    def caption() -> str:
        return " ".join(generator.choices(words, cum_weights=cumulative, k=generator.randint(8, 14))) + " ."

    return {image: [caption() for _ in range(REFERENCES)] for image in range(IMAGES)}


def read_captions(path: str) -> References:
    """The first 5,000 images of Flickr8k.token.txt."""
    captions: defaultdict[str, list[str]] = defaultdict(list)
    with open(path, encoding="utf-8") as file:
        for line in file:
            name, _, caption = line.rstrip("\n").partition("\t")
            captions[name.partition("#")[0]].append(caption)
    return dict(enumerate(list(captions.values())[:IMAGES]))


def hypotheses_for(references: References, generator: random.Random) -> Hypotheses:
    """For each image one of its references with some words from another image's."""
    hypotheses = {}
    for image in references:
        own, other = (generator.choice(references[i]).split() for i in (image, generator.randrange(len(references))))
        hypotheses[image] = " ".join(b if generator.random() < 0.3 else a for a, b in zip(own, other, strict=False))
    return hypotheses


def pycocoevalcap_scores(hypotheses: References, references: References) -> list[float]:
    """BLEU-1..4, ROUGE-L and CIDEr-D from words that are ready."""
    bleu, _ = Bleu(4).compute_score(references, hypotheses, verbose=0)
    return [*bleu, *(scorer().compute_score(references, hypotheses)[0] for scorer in (Rouge, Cider))]


def pycocoevalcap_reward(hypotheses: References, references: References, frequencies: CiderScorer) -> np.ndarray:
    """CIDEr-D of one batch on document frequencies that are ready."""
    scorer = CiderScorer()
    for image, captions in hypotheses.items():
        scorer += (captions[0], references[image])
    scorer.document_frequency = frequencies.document_frequency
    return np.array(scorer.compute_cider())


def peak_mib(which: str, captions: str) -> tuple[float, float]:
    """Peak memory of a process of its own, in MiB: with the captions only, and after the work."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (which, captions))


def _measure(which: str, captions: str) -> tuple[float, float]:
    data = Data(captions)
    before = _peak_of_this_process()
    data.theirs() if which == "pycocoevalcap" else data.whole()
    return before, _peak_of_this_process()


def _peak_of_this_process() -> float:
    """In MiB, from Linux: `getrusage` would tell the parent's where that was higher."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


class Data:
    """The captions, as written and as words."""

    def __init__(self, captions: str) -> None:
        generator = random.Random(0)
        self.references = read_captions(captions) if captions else made_captions(generator)
        self.hypotheses = hypotheses_for(self.references, generator)
        flat = iter(coco_tokens([caption for captions in self.references.values() for caption in captions]))
        self.reference_words = {i: [" ".join(next(flat)) for _ in range(REFERENCES)] for i in self.references}
        tokens = coco_tokens(list(self.hypotheses.values()))
        self.hypothesis_words = {i: [" ".join(words)] for i, words in zip(self.references, tokens, strict=True)}

    def ours(self) -> dict[str, float]:
        """The scores alone."""
        return CaptionScorer(self.references).score(self.hypotheses).corpus()

    def whole(self) -> object:
        """All that the command computes."""
        return evaluate(CaptionScorer(self.references), self.hypotheses).scores.of_images()

    def theirs(self) -> list[float]:
        """The scores of pycocoevalcap."""
        return pycocoevalcap_scores(self.hypothesis_words, self.reference_words)


def time_scores(data: Data, rounds: int) -> None:
    """Whole corpora."""
    theirs, ours = data.theirs(), data.ours()
    print("largest difference:", max(abs(a - ours[name]) for a, name in zip(theirs, METRICS, strict=True)))
    scorer = CaptionScorer(data.references)
    scorer.score(data.hypotheses)
    timings = timing.interleave(
        {
            "pycocoevalcap, from words": data.theirs,
            "ours, scores from captions": data.ours,
            "ours, whole evaluation": data.whole,
            "ours, best constant caption": lambda: best_constant_caption(scorer),
        },
        rounds,
    )
    timing.print_table(f"{len(data.references)} images", timings, baseline="pycocoevalcap, from words", item_name="run")


def time_reward(data: Data, rounds: int) -> None:
    """Batches of captions of random images."""
    frequencies = CiderScorer()
    for image, captions in data.reference_words.items():
        frequencies += (data.hypothesis_words[image][0], captions)
    frequencies.compute_doc_freq()
    cider = CaptionScorer(data.references).cider
    for batch_size in BATCHES:
        images = random.Random(batch_size).sample(range(len(data.references)), batch_size)
        hypotheses = {image: data.hypothesis_words[image] for image in images}
        words = [hypotheses[image][0].split() for image in images]
        timings = timing.interleave(
            {
                "pycocoevalcap": functools.partial(pycocoevalcap_reward, hypotheses, data.reference_words, frequencies),
                "ours": functools.partial(cider.scores, words, images),
            },
            5 * rounds,
        )
        title = f"CIDEr-D as a reward, batches of {batch_size} captions"
        timing.print_table(title, timings, baseline="pycocoevalcap", items=batch_size, item_name="caption")


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captions", default="", help="Flickr8k.token.txt; empty makes captions")
    parser.add_argument("--rounds", type=int, default=3, help="timed runs of each variant, after one that is not")
    flags = parser.parse_args()
    path = flags.captions
    data = Data(path)
    time_scores(data, flags.rounds)
    time_reward(data, flags.rounds)
    for which in ("pycocoevalcap", "ours"):
        before, after = peak_mib(which, path)
        print(f"peak memory, {which}: {after:.0f} MiB, of which {before:.0f} before it began")


if __name__ == "__main__":
    main()
