"""A generated catalogue of any size whose vectors have the shape of a trained student's, for benchmarks at 10^6 items.

python benchmarks/catalogue.py [N_ITEMS]     prints the figures of its vectors, to be held against these:

| | student, d=32 | alone, d=64 | generated, d=64 |
|---|---|---|---|
| length of every item vector | 1 | 1 | 1 |
| length of their mean | .32 | .27 | .27 |
| variance, 1st 5th 17th 33rd, % | 10.7 5.0 2.5 – | 8.3 3.8 1.6 1.0 | 8.4 4.5 1.6 .8 |
| cosine to the nearest, 10 % 50 % 90 % | .73 .82 .90 | .64 .74 .86 | .66 .74 .82 |
| cosine to the 20th nearest | .53 .65 .75 | .47 .56 .67 | .49 .58 .67 |
| standard deviation of the biases | .15 | .88 | .15 |
| best scores in deviations, 1st 5th 20th 100th | 3.8 3.4 3.0 2.2 | 4.1 3.7 3.1 2.2 | 3.3 3.0 2.7 2.1 |
| length of the mean of the user vectors | .62 | .22 | .69 |
| recall@20 in 1, 3, 5, 10 of 64 lists | .45 .76 .87 .96 | .17 .46 .70 .97 | .47 .79 .90 .97 |

The first two were trained on MovieLens-1M (3,043 items); the generated one is 3,043 items of 50,000. `SCALE`, `MEAN`,
`BIAS` and the spectrum are read off; groups and tastes were set so that neighbours and recall come out as they do.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np

from recdistill.serving.bag import BagScorer
from recdistill.serving.histories import Histories
from recdistill.tables.codecs import CodedTable

SCALE = 6.7
"""1 / τ, with which a student multiplies its cosines."""
MEAN = 0.2
"""Of every item vector; the groups add to it, as the larger ones pull the mean."""
SPECTRUM_FIRST, SPECTRUM_POWER = 1.5, 0.6
"""The variance along the j-th direction falls as (j + first)^-power."""
BIAS = 0.15
"""Standard deviation of the items' biases; that of their scores is about 1.2."""
LEVELS = ((20, 0.45), (1_500, 0.25))
"""Groups within groups: how many there are, and their share of the variance; the rest is each item's own."""
GROUP_SKEW = 0.6
"""The j-th group's chance is j^-skew."""
TASTES, FAITHFUL = 8, 0.7
"""How many groups a person likes, in the mean, and how many of them lie within one broad group."""
STRAY = 0.5
"""How many of the items that somebody used are of no group of hers."""
HISTORY = 40
"""Items of a history, in the median."""
CHUNK = 100_000


class Catalogue(NamedTuple):
    vectors: np.ndarray
    """(n_items, dim) float32, of length 1"""
    bias: np.ndarray
    """(n_items,) float32"""
    histories: Histories
    queries: np.ndarray
    """(users, dim) float32: of these histories, as `scorer` makes them; score = query · vector + bias"""

    def scorer(self, codec: str = "fp32") -> BagScorer:
        """The model whose vectors these are, to be embedded as if it had been trained."""
        return _scorer(CodedTable.of(self.vectors, codec), self.bias)


def catalogue(n_items: int, dim: int = 64, seed: int = 0, users: int = 1000) -> Catalogue:
    """The same for the same arguments; 10^6 items of 64 numbers take about ten seconds."""
    rng = np.random.default_rng(seed)
    deviations = _deviations(dim)
    centres, broad_of, groups = _groups(rng, n_items, dim)
    mean = rng.standard_normal(dim)
    mean *= MEAN / np.linalg.norm(mean)
    own = np.sqrt(1 - sum(share for _, share in LEVELS))
    vectors = np.empty((n_items, dim), np.float32)
    for start in range(0, n_items, CHUNK):
        part = slice(start, min(start + CHUNK, n_items))
        tile = centres[groups[part]] + own * rng.standard_normal((part.stop - start, dim), np.float32)
        tile = tile * deviations + mean.astype(np.float32)
        vectors[part] = tile / np.linalg.norm(tile, axis=1, keepdims=True)
    bias = (BIAS * rng.standard_normal(n_items)).astype(np.float32)
    histories = _histories(rng, groups, broad_of, users)
    queries = _scorer(CodedTable.of(vectors), bias).queries(histories)
    return Catalogue(vectors, bias, histories, queries)


def _scorer(table: CodedTable, bias: np.ndarray) -> BagScorer:
    return BagScorer(item_table=table, item_bias=bias, normalize=True, history_power=0.5, scale=SCALE)


def _deviations(dim: int) -> np.ndarray:
    """Standard deviation along each direction; their squares add up to what the mean leaves of length 1."""
    spectrum = (np.arange(dim) + SPECTRUM_FIRST) ** -SPECTRUM_POWER
    deviations: np.ndarray = np.sqrt(spectrum / spectrum.sum() * (1 - MEAN**2)).astype(np.float32)
    return deviations


def _groups(rng: np.random.Generator, n_items: int, dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres (groups, dim) of the finest groups, the broad group of each of them, and the group of every item."""
    (n_broad, share), (n_fine, finer_share) = LEVELS
    broad = np.sqrt(share) * rng.standard_normal((n_broad, dim))
    broad_of = rng.choice(n_broad, n_fine, p=_skewed(n_broad))
    centres = broad[broad_of] + np.sqrt(finer_share) * rng.standard_normal((n_fine, dim))
    return centres.astype(np.float32), broad_of, rng.choice(n_fine, n_items, p=_skewed(n_fine))


def _skewed(count: int) -> np.ndarray:
    chances = np.arange(1, count + 1) ** -GROUP_SKEW
    return chances / chances.sum()


def _histories(rng: np.random.Generator, groups: np.ndarray, broad_of: np.ndarray, users: int) -> Histories:
    """Each person likes a few groups, most of them within one broad one, more of the larger ones; items of these alone
    are used."""
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], np.arange(len(broad_of) + 1))
    sizes = np.diff(starts)
    lists = []
    for _ in range(users):
        first = broad_of[rng.choice(len(sizes), p=sizes / sizes.sum())]
        inside = np.where(broad_of == first, sizes, 0) / sizes[broad_of == first].sum()
        chances = FAITHFUL * inside + (1 - FAITHFUL) * sizes / sizes.sum()
        liked = rng.choice(len(sizes), 1 + rng.poisson(TASTES - 1), p=chances)
        length = 1 + int(HISTORY * rng.lognormal(0, 1))
        drawn = rng.choice(liked, min(length, 1000))
        used = order[rng.integers(starts[drawn], starts[drawn + 1])]
        stray = rng.random(len(used)) < STRAY
        lists.append(np.where(stray, rng.integers(0, len(groups), len(used)), used))
    return Histories.from_lists(lists)


def main(n_items: int) -> None:
    vectors, bias, histories, queries = catalogue(n_items)
    mean = vectors.mean(axis=0)
    spectrum = np.linalg.eigvalsh(np.cov((vectors - mean).T))[::-1]
    shares = np.round(spectrum / spectrum.sum(), 3)[[0, 1, 4, 8, 16, 32]]
    scores = queries @ vectors[:: max(1, n_items // 3043)].T + bias[:: max(1, n_items // 3043)]
    tops = np.sort((scores - scores.mean(axis=1, keepdims=True)) / scores.std(axis=1, keepdims=True), axis=1)
    print("length of the mean", round(float(np.linalg.norm(mean)), 2), "shares of the variance", shares.tolist())
    print("best scores in deviations", np.round(tops[:, [-1, -5, -20, -100]].mean(axis=0), 1).tolist())
    print("histories of", float(np.median(histories.lengths)), "items in the median")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
