"""Shares of the data: complete, disjoint, and as equal as can be."""

import pytest

from im2txt.shards.data_layout import DataLayout


@pytest.mark.parametrize(("total", "num_workers"), [(10, 3), (2, 3), (0, 2), (7, 1), (12, 4)])
def test_shares_are_complete_disjoint_and_differ_by_at_most_one(total, num_workers):
    layouts = [DataLayout(num_workers, num_workers, worker) for worker in range(num_workers)]
    taken = [range(*layout.share(total)) for layout in layouts]
    assert [i for part in taken for i in part] == list(range(total))
    sizes = [len(part) for part in taken]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) == layouts[0].largest_share(total)


def test_the_chief_is_the_first_worker():
    assert [DataLayout(4, 2, worker).is_chief for worker in (0, 1)] == [True, False]
    assert DataLayout(4, 2, 1).local_replicas == 2


@pytest.mark.parametrize("fields", [(3, 2, 0), (2, 2, 2), (0, 1, 0)])
def test_what_makes_no_layout_is_refused(fields):
    with pytest.raises(ValueError, match=r"must be"):
        DataLayout(*fields)


def test_a_batch_that_replicas_cannot_share_equally_is_refused():
    assert DataLayout(4).replica_batch_size(12) == 3
    with pytest.raises(ValueError, match=r"input\.batch_size=10 must be a multiple of the 4 replicas"):
        DataLayout(4).replica_batch_size(10)
