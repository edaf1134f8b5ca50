from __future__ import annotations

import torch

from recdistill.candidates.uniform import uniform_negatives
from recdistill.objectives.positives import Positives


def positives(lists: list[list[int]]) -> Positives:
    counts = torch.tensor([len(items) for items in lists])
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), counts.cumsum(0)])
    items = torch.tensor([item for one in lists for item in one], dtype=torch.long)
    return Positives(offsets=offsets, items=items, rows=torch.repeat_interleave(torch.arange(len(lists)), counts))


def test_no_negative_is_an_item_of_its_user_and_every_other_item_is_as_likely() -> None:
    lists, n_items, times = [[0, 3, 4], [], [1], [0, 1, 2, 3, 4, 6]], 7, 4000
    given = positives(lists * times)
    found = uniform_negatives(given, n_items, torch.Generator().manual_seed(0))
    assert found.drawn.all()
    counts = torch.zeros(len(lists), n_items)
    counts.index_put_((given.rows % len(lists), found.items), torch.ones(len(given.items)), accumulate=True)
    for user, items in enumerate(lists):
        others = [item for item in range(n_items) if item not in items]
        assert not counts[user, items].any()
        if items:
            expected = times * len(items) / len(others)
            torch.testing.assert_close(counts[user, others], torch.full((len(others),), expected), rtol=0.1, atol=0.0)


def test_who_has_used_everything_has_nothing_to_draw() -> None:
    found = uniform_negatives(positives([[0, 1, 2], [1]]), 3, torch.Generator().manual_seed(1))
    assert found.drawn.tolist() == [False, False, False, True]
    assert found.items[3] in (0, 2)


def test_the_generator_decides_and_each_draw_is_fresh() -> None:
    given = positives([[5, 9], [1, 2, 3]])
    draws = []
    for _ in range(2):
        generator = torch.Generator().manual_seed(4)
        draws.append([uniform_negatives(given, 1000, generator).items.tolist() for _ in range(2)])
    assert draws[0] == draws[1]
    assert draws[0][0] != draws[0][1]
