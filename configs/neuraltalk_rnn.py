"""NeuralTalk's multimodal RNN, the photograph seen with every word, on Flickr8k, with this project's features.

Result with EfficientNet-Lite2: best after 25 epochs, perplexity 16.57 on val; on test at beam 3 BLEU-4 17.1, CIDEr-D
41.4 (`docs/forebears.md`).

    python -m data_prep.cache_features --config=neuraltalk_rnn --data_dir=/data/shards --output_dir=/data/features
    python -m im2txt.train --config=neuraltalk_rnn --workdir=/data/run --config.input.data_dir=/data/features

Source: NeuralTalk's driver.py, its defaults (github.com/karpathy/neuraltalk, 2015): RMSProp without mean subtracted,
100 sentences a step, dropout of a half before and after. There features are fc7 of VGG16 and words that occur 5 times
are kept (`--min_word_count=5`); its loss is a sum over a sentence's words where ours is their mean, so that its
clipping at 5 is ours at 0.4. Its weight decay of 1e-8 is left out, and a word outside the vocabulary is `<UNK>` here,
dropped there.
"""

import dataclasses

from configs import neuraltalk_lstm
from im2txt.configuration import ExperimentConfig, NeuralTalkRnnConfig


def get_config() -> ExperimentConfig:
    """Returns the experiment."""
    return dataclasses.replace(neuraltalk_lstm.get_config(), decoder=NeuralTalkRnnConfig())
