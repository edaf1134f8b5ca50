from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recdistill.errors import ConfigError
from recdistill.models.svd import SVD, normalise, singular_vectors
from recdistill.serving.scorers import Histories
from tests.models.conftest import draw_log


def test_normalising_divides_by_the_roots_of_both_degrees() -> None:
    matrix = csr_matrix(np.array([[1, 1, 0], [0, 1, 0]], np.float32))
    want = [[1 / np.sqrt(2), 1 / np.sqrt(4), 0], [0, 1 / np.sqrt(2), 0]]
    np.testing.assert_allclose(normalise(matrix).toarray(), want, rtol=1e-6)


def test_singular_vectors_are_those_of_a_dense_decomposition() -> None:
    csr = draw_log().csr()
    users, values, items = np.linalg.svd(normalise(csr).toarray().astype(np.float64), full_matrices=False)
    found = singular_vectors(csr, 3, seed=0)
    np.testing.assert_allclose(found.values, values[:3], rtol=1e-5)
    want = users[:, :3] * values[:3] @ items[:3]
    np.testing.assert_allclose(found.users * found.values @ found.items.T, want, atol=1e-4)


def test_a_wide_log_with_few_oversampled_directions_is_approximated_well() -> None:
    """400 items and 20 of at most 300 directions: the largest values agree to a thousandth."""
    draw = np.random.default_rng(0)
    taste = draw.random((300, 5)) @ draw.random((5, 400))
    csr = csr_matrix((draw.random((300, 400)) < 0.2 * taste).astype(np.float32))
    exact = np.linalg.svd(normalise(csr).toarray(), compute_uv=False)
    found = singular_vectors(csr, 4, seed=0)
    np.testing.assert_allclose(found.values[:1], exact[:1], rtol=1e-4)
    np.testing.assert_allclose(found.values, exact[:4], rtol=2e-2)


def test_columns_are_orthonormal_and_values_descend() -> None:
    found = singular_vectors(draw_log().csr(), 6, seed=2)
    for vectors in (found.users, found.items):
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(6), atol=1e-5)
    assert (np.diff(found.values) <= 0).all()
    assert {found.users.dtype, found.values.dtype, found.items.dtype} == {np.dtype(np.float32)}


def test_the_seed_or_a_generator_decides_and_nothing_else() -> None:
    csr = draw_log().csr()
    one, two = singular_vectors(csr, 4, 5), singular_vectors(csr, 4, np.random.default_rng(5))
    np.testing.assert_array_equal(one.items, two.items)
    assert not np.array_equal(one.items, singular_vectors(csr, 4, 6).items)


def test_more_vectors_than_the_log_has_are_cut() -> None:
    train = draw_log()
    assert singular_vectors(train.csr(), 500, 0).items.shape == (25, 25)
    assert SVD(dim=500).fit(train).scorer.dimension == 25


def test_scores_are_the_projection_of_the_normalised_history() -> None:
    train = draw_log()
    items = singular_vectors(train.csr(), 3, 0).items.astype(np.float64)
    degree = np.bincount(train.item_rows, minlength=25)
    dense = train.csr().toarray()
    want = (dense / np.sqrt(degree)) @ items @ items.T * np.sqrt(degree)
    np.testing.assert_allclose(SVD(dim=3).fit(train).score(Histories.from_csr(train.csr())), want, rtol=1e-3, atol=1e-4)


def test_no_dimension_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="svd: dim = 0"):
        SVD(dim=0)
