"""Captions from a captioner with planted next words: ids back to sentences, probabilities, what may not be said."""

import math

import numpy as np
import pytest
import tensorflow as tf
from fakes import VOCABULARY

from im2txt.configuration import DecodingConfig
from im2txt.decoding.caption_generator import CaptionGenerator
from im2txt.text.vocabulary import Vocabulary


class PlantedCaptioner:
    """Photographs with feature 0 get "cat runs", the others "dog", each word with probability 0.8 (0.2 for `rival`)."""

    def __init__(self, vocabulary=VOCABULARY, rival="red", rows_to_spare=0):
        size = self.vocab_size = len(vocabulary) + rows_to_spare
        word = vocabulary.word_to_id
        self.table = np.full((2, size, size), 1e-9, np.float32)
        followers = [
            {"<S>": "cat", "cat": "runs", "runs": "</S>", rival: "</S>"},
            {"<S>": "dog", "dog": "</S>", rival: "</S>"},
        ]
        for kind, pairs in enumerate(followers):
            for before, after in pairs.items():
                self.table[kind, word(before), word(after)] = 0.8
                self.table[kind, word(before), word(rival)] += 0.2

    def start(self, batch, num_steps):
        return tf.cast(batch["features"][:, 0], tf.int32), self.step

    def step(self, word_ids, kinds):
        return tf.math.log(tf.gather_nd(self.table, tf.stack([kinds, word_ids], axis=1))), kinds


def generate(captioner, vocabulary=VOCABULARY, features=((0.0,), (1.0,)), **decoding):
    generator = CaptionGenerator(captioner, vocabulary, "treebank", DecodingConfig(**decoding))
    return generator({"features": tf.constant(features), "image_id": tf.zeros([len(features)], tf.int64)})


def test_each_photograph_gets_its_captions_best_first():
    cats, dogs = generate(PlantedCaptioner(), beam_size=2)
    assert [c.caption for c in cats] == ["cat runs", "red"]
    assert [c.words for c in dogs] == ["dog", "red"]
    assert math.isclose(math.exp(cats[0].log_prob), 0.8**3, rel_tol=1e-4)
    assert math.isclose(math.exp(cats[1].log_prob), 0.2 * 0.8, rel_tol=1e-4)
    assert cats[0].is_complete


def test_every_word_and_the_end_have_their_probability():
    cats, dogs = generate(PlantedCaptioner(), beam_size=2)
    assert [pytest.approx(p, rel=1e-4) for p in (0.8, 0.8, 0.8)] == np.exp(cats[0].word_log_probs).tolist()
    assert [pytest.approx(p, rel=1e-4) for p in (0.2, 0.8)] == np.exp(dogs[1].word_log_probs).tolist()


def test_a_caption_cut_off_keeps_its_last_word():
    (cut,) = generate(PlantedCaptioner(), features=((0.0,),), beam_size=1, max_caption_length=3)
    assert [(c.caption, c.is_complete, len(c.word_log_probs)) for c in cut] == [("cat runs", False, 2)]


def test_unknown_words_are_said_only_where_allowed():
    planted = PlantedCaptioner(rival="<UNK>")
    captions = [c.words for c in generate(planted, features=((1.0,),), beam_size=2)[0]]
    assert captions[0] == "dog"
    assert not any("<UNK>" in words for words in captions)
    allowed = [c.words for c in generate(planted, features=((1.0,),), beam_size=2, allow_unknown=True)[0]]
    assert allowed == ["dog", "<UNK>"]


def said_by_chance(allow, rows_to_spare=0, **probs):
    """The captions by a model for which `probs` follow any word but `dog`, and `</S>` follows that."""
    planted = PlantedCaptioner(rows_to_spare=rows_to_spare)
    ids = {"spare": len(VOCABULARY), "start": VOCABULARY.start_id, "dog": VOCABULARY.word_to_id("dog")}
    planted.table[:] = 1e-13
    for name, prob in probs.items():
        planted.table[:, :, ids[name]] = prob
    planted.table[:, ids["dog"]] = 1e-13
    planted.table[:, ids["dog"], VOCABULARY.end_id] = 1.0
    return [c.words for c in generate(planted, features=((0.0,),), beam_size=2, max_caption_length=4, **allow)[0]]


def test_another_start_word_is_said_only_where_allowed():
    assert said_by_chance({}, start=0.4, dog=0.6) == ["dog"]
    assert said_by_chance({"allow_start": True}, start=0.4, dog=0.6) == ["dog", "<S> dog"]


def test_a_row_to_spare_is_an_unknown_word():
    assert said_by_chance({}, rows_to_spare=1, spare=0.4, dog=0.6) == ["dog"]
    assert said_by_chance({"allow_unknown": True}, rows_to_spare=1, spare=0.4, dog=0.6) == ["dog", "<UNK> dog"]


def test_words_are_joined_for_people():
    vocabulary = Vocabulary([("<S>", 1), ("</S>", 1), ("man", 1), ("'s", 1), ("hat", 1), (".", 1)])
    table = np.full((len(vocabulary), len(vocabulary)), 1e-9, np.float32)
    for before, after in zip(["<S>", "man", "'s", "hat", "."], ["man", "'s", "hat", ".", "</S>"], strict=True):
        table[vocabulary.word_to_id(before), vocabulary.word_to_id(after)] = 1.0

    class Chain:
        vocab_size = len(vocabulary)

        def start(self, batch, num_steps):
            return batch["features"], lambda word_ids, state: (tf.math.log(tf.gather(table, word_ids)), state)

    (captions,) = generate(Chain(), vocabulary, features=((0.0,),), beam_size=1)
    assert captions[0].caption == "man's hat."
    assert captions[0].words == "man 's hat ."


@pytest.mark.parametrize("sizes", [(1, 3, 2)])
def test_batches_of_any_size_give_the_same_captions(sizes):
    generator = CaptionGenerator(PlantedCaptioner(), VOCABULARY, "treebank", DecodingConfig())
    for size in sizes:
        features = tf.constant([[float(i % 2)] for i in range(size)])
        captions = [candidates[0].caption for candidates in generator({"features": features})]
        assert captions == [["cat runs", "dog"][i % 2] for i in range(size)]


def test_every_knob_of_the_search_reaches_it():
    (cut,) = generate(PlantedCaptioner(), features=((0.0,),), beam_size=2, min_caption_length=4)
    assert [c.words for c in cut] == ["cat runs", "cat red"]  # "red" alone has 3 words with start and end.
    looping = PlantedCaptioner()
    looping.table[1] = 1e-9
    for before, after, chance in (("<S>", "dog", 0.9), ("dog", "dog", 0.9), ("dog", "</S>", 0.1)):
        looping.table[1, VOCABULARY.word_to_id(before), VOCABULARY.word_to_id(after)] = chance
    settings = {"features": ((1.0,),), "beam_size": 1, "max_caption_length": 6}
    assert generate(looping, **settings)[0][0].words == "dog dog dog dog dog"
    assert generate(looping, **settings, no_repeat_ngram_size=2)[0][0].words == "dog dog"


def test_diverse_beams_say_what_one_beam_does_not():
    # "dog" follows <S> with .8 and "red" with .2: the second group pays more than ln 4 to say "dog" again.
    settings = {"features": ((1.0,),), "beam_size": 2, "method": "diverse_beam", "beam_groups": 2}
    assert [c.words for c in generate(PlantedCaptioner(), **settings, diversity_strength=1.3)[0]] == ["dog", "dog"]
    (found,) = generate(PlantedCaptioner(), **settings, diversity_strength=1.5)
    assert [c.words for c in found] == ["dog", "red"]
    assert [math.exp(c.log_prob) for c in found] == pytest.approx([0.8 * 0.8, 0.2 * 0.8], rel=1e-4)


def test_samples_are_drawn_by_image_id_and_seed():
    flat = PlantedCaptioner()
    flat.table[:] = 1 / len(VOCABULARY)
    generator = CaptionGenerator(flat, VOCABULARY, "treebank", DecodingConfig(method="sample", beam_size=4))

    def sample(image_ids, of=generator):
        batch = {"features": tf.zeros([len(image_ids), 1]), "image_id": tf.constant(image_ids, tf.int64)}
        return [[c.words for c in captions] for captions in of(batch)]

    first, second = sample([8, 9])
    assert sample([9]) == [second]
    assert first != second
    other = CaptionGenerator(
        flat, VOCABULARY, "treebank", DecodingConfig(method="sample", beam_size=4, sampling_seed=2)
    )
    assert sample([9], other) != [second]
    for knob in ({"temperature": 0.01}, {"top_k": 1}, {"top_p": 0.01}):
        narrow = CaptionGenerator(
            PlantedCaptioner(), VOCABULARY, "treebank", DecodingConfig(method="sample", beam_size=9, **knob)
        )
        assert {words for captions in sample([3, 4], narrow) for words in captions} == {"cat runs"}


@pytest.mark.parametrize("factor", [0.0, 0.9])
def test_complete_captions_are_ranked_by_the_factor_asked_for(factor):
    for of_photograph in generate(PlantedCaptioner(), beam_size=2, length_normalization_factor=factor):
        for found in filter(lambda candidate: candidate.is_complete, of_photograph):
            length = len(found.words.split()) + 2  # <S> and </S> count.
            assert found.score == pytest.approx(found.log_prob / length**factor, rel=1e-5)
