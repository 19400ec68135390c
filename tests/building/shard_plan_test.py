import dataclasses
import pickle

import pytest

from data_prep.building.shard_plan import PlannedImage, ShardOptions, ShardPlan
from data_prep.building.skips import Skip
from im2txt.images.image_files import PhotographOptions
from im2txt.system.storage import FileState
from im2txt.text.vocabulary import Vocabulary

VOCABULARY = Vocabulary([("a", 9), ("<S>", 8), ("</S>", 8), ("dog", 5)])
PHOTOGRAPHS = PhotographOptions()


def images(count=20, split="train", first=0):
    return [
        PlannedImage(
            image_id=i,
            file_name=f"{i}.jpg",
            path=f"/d/{i}.jpg",
            file=FileState(1000 + i, "then"),
            split=split,
            captions=("A dog", "A cat", "Dog"),
            tokenized_captions=("a dog", "a cat", "dog"),
        )
        for i in range(first, first + count)
    ]


def plan(planned, counts, photographs=PHOTOGRAPHS, **options):
    return ShardPlan(planned, VOCABULARY, ShardOptions(**options), photographs, counts)


def jobs(shard_plan):
    return [shard_plan.job(shard, "/out") for shard in shard_plan.slices]


def test_every_example_is_in_exactly_one_shard_and_shards_differ_by_one_at_most():
    all_jobs = jobs(plan(images(20) + images(5, "val", 20), {"train": 3, "val": 2}))
    assert [job.name for job in all_jobs] == [
        "train-00000-of-00003",
        "train-00001-of-00003",
        "train-00002-of-00003",
        "val-00000-of-00002",
        "val-00001-of-00002",
    ]
    assert [len(job.examples) for job in all_jobs] == [6, 7, 7, 2, 3]
    assert sorted(e.image_id for job in all_jobs[:3] for e in job.examples) == list(range(20))
    assert sorted(e.image_id for job in all_jobs[3:] for e in job.examples) == list(range(20, 25))


def test_pairs_are_spread_over_the_shards_one_by_one():
    all_jobs = jobs(plan(images(20), {"train": 4}, layout="pair"))
    pairs = [(e.image_id, e.captions) for job in all_jobs for e in job.examples]
    assert len(pairs) == len(set(pairs)) == 60
    shards_of_image = [{job.name for job in all_jobs for e in job.examples if e.image_id == i} for i in range(20)]
    assert max(map(len, shards_of_image)) > 1


def test_captions_are_framed_and_numbered():
    example = jobs(plan(images(1), {"train": 1}))[0].examples[0]
    assert example.captions == (("<S>", "a", "dog", "</S>"), ("<S>", "a", "cat", "</S>"), ("<S>", "dog", "</S>"))
    assert example.caption_ids == ((1, 0, 3, 2), (1, 0, 4, 2), (1, 3, 2))


def order(shard_plan):
    return [example.image_id for job in jobs(shard_plan) for example in job.examples]


def test_the_order_is_shuffled_by_the_seed_alone():
    first = order(plan(images(), {"train": 2}, seed=0))
    assert first == order(plan(images(), {"train": 2}, seed=0))
    assert first == order(plan(images()[::-1], {"train": 5}, seed=0))
    assert first != order(plan(images(), {"train": 2}, seed=1))
    assert first != sorted(first)


def test_the_order_of_others_stays_when_a_photograph_joins():
    fewer = order(plan(images(19), {"train": 1}))
    assert [i for i in order(plan(images(20), {"train": 1})) if i != 19] == fewer


def test_the_fingerprint_tells_all_that_decides_the_bytes():
    base = images()
    other_words = [*base[:-1], dataclasses.replace(base[-1], tokenized_captions=("a", "b", "c"))]
    other_captions = [*base[:-1], dataclasses.replace(base[-1], captions=("a DOG", "A cat", "Dog"))]
    fingerprints = [
        plan(base, {"train": 2}).fingerprint,
        plan(base, {"train": 3}).fingerprint,
        plan(base, {"train": 2}, seed=1).fingerprint,
        plan(base, {"train": 2}, layout="pair").fingerprint,
        plan(base, {"train": 2}, PhotographOptions(verify="decode")).fingerprint,
        plan(other_words, {"train": 2}).fingerprint,
        plan(other_captions, {"train": 2}).fingerprint,
        plan(other_captions, {"train": 2}, layout="pair").fingerprint,
        plan(base[:-1], {"train": 2}).fingerprint,
    ]
    assert len(set(fingerprints)) == len(fingerprints)
    moved = [dataclasses.replace(image, path="/elsewhere", file=FileState(1, "now")) for image in base]
    assert plan(moved, {"train": 2}).fingerprint == fingerprints[0]


@pytest.mark.parametrize(
    "change", [{"path": "/e/5.jpg"}, {"file": FileState(1, "then")}, {"file": FileState(1005, "")}]
)
@pytest.mark.parametrize("layout", ["image", "pair"])
def test_a_changed_photograph_changes_the_fingerprints_of_its_own_shards_alone(change, layout):
    changed = [dataclasses.replace(image, **change) if image.image_id == 5 else image for image in images()]
    before, after = (jobs(plan(planned, {"train": 8}, layout=layout)) for planned in (images(), changed))
    for old, new in zip(before, after, strict=True):
        assert (old.fingerprint != new.fingerprint) == (5 in {example.image_id for example in old.examples})


def test_photographs_that_are_checked_already_are_not_decoded_again_and_the_unusable_ones_not_read():
    planned = plan(images(), {"train": 4}, PhotographOptions(verify="decode", resize_shorter_side=9), layout="pair")
    assert {job.photographs.verify for job in jobs(planned)} == {"decode"}
    unusable = {i: Skip(i, f"{i}.jpg", "truncated", "") for i in (3, 7)}
    for shard in planned.slices:
        job = planned.job(shard, "/out", unusable)
        assert job.photographs == PhotographOptions(verify="header", resize_shorter_side=9)
        assert {skip.image_id for skip in job.unusable} == {3, 7} & {example.image_id for example in job.examples}


def test_a_job_carries_its_slice_only():
    small, large = plan(images(50), {"train": 1}), plan(images(5000), {"train": 100})
    sizes = [len(pickle.dumps(p.job(p.slices[0], "/out"))) for p in (small, large)]
    assert sizes[1] < 1.2 * sizes[0]


def test_more_shards_than_examples_are_refused():
    with pytest.raises(ValueError, match="Split 'val' has 2 examples, fewer than its 3 shards. Lower --val_shards"):
        plan(images(2, "val"), {"val": 3})


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"train_shards": 0}, r"--train_shards=0 must be in \[1, 99999\]"),
        ({"test_shards": 100_000}, r"--test_shards=100000 must be in"),
        ({"shard_megabytes": 0}, "--shard_megabytes=0 must be at least 1"),
    ],
)
def test_options_out_of_range_are_refused(flags, message):
    with pytest.raises(ValueError, match=message):
        ShardOptions(**flags)
