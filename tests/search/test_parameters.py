from __future__ import annotations

import optuna
import pytest

from recdistill.search.parameters import OneOf, Real, Space, Whole, around, around_whole


def drawn(parameter: Real | Whole | OneOf, times: int = 200) -> list[object]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [parameter.suggest(study.ask(), "x") for _ in range(times)]


def test_drawn_values_stay_in_their_range_and_have_three_digits() -> None:
    parameter = Real(default=0.1, low=0.0123456, high=0.987654, log=True)
    values = drawn(parameter)
    assert all(0.0123456 <= value <= 0.987654 for value in values)  # type: ignore[operator]
    assert all(value == float(f"{value:.3g}") for value in values if value not in (0.0123456, 0.987654))
    assert sum(value < 0.11 for value in values) in range(70, 130)  # type: ignore[operator]  # the middle of the logs


def test_whole_numbers_and_names_are_drawn_as_they_are() -> None:
    assert set(drawn(Whole(default=2, low=1, high=3))) == {1, 2, 3}
    assert set(drawn(OneOf(default="tied", values=("tied", "full")))) == {"tied", "full"}


def test_a_relative_value_is_carried_by_its_factor_to_the_rule() -> None:
    epochs, weight = around_whole(24, 2.0, relative=True), around(100.0, 8.0, relative=True)
    assert epochs.carried(36, 16) == 24
    assert epochs.carried(24, 15) == 15
    assert weight.carried(300.0, 250.0) == 750.0
    assert weight.carried(100.0, 123.456789) == 123.456789  # the rule's own is the rule's own there
    assert around(0.15, 2.0).carried(0.2, 0.14) == 0.2


@pytest.mark.parametrize(("default", "low", "high"), [(20, 10, 40), (1, 1, 2)])
def test_a_range_around_a_whole_number_holds_it(default: int, low: int, high: int) -> None:
    parameter = around_whole(default, 2.0)
    assert (parameter.low, parameter.high) == (low, high)


def test_a_space_carries_each_of_its_settings() -> None:
    def space(epochs: int) -> Space:
        parameters = {"epochs": around_whole(epochs, 2.0, relative=True), "tau": around(0.1, 2.0)}
        return Space(parameters=parameters, starts=(), fixed={"dim": 8})

    assert space(20).carried({"epochs": 30, "tau": 0.07}, space(10)) == {"epochs": 15, "tau": 0.07}
