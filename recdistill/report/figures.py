"""Numbers as a reader wants to see them: one way of writing each, on the page and in the terminal."""

from __future__ import annotations

import math

MINUS, TIMES, DASH, PLUS_MINUS = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}", "\N{EN DASH}", "\N{PLUS-MINUS SIGN}"
_METRICS = {"ndcg": "NDCG", "mrr": "MRR", "map": "MAP", "auc": "AUC", "f1": "F1", "hit": "Hit rate", "rbo": "RBO"}


def known(value: object) -> float | None:
    """The number, or None where there is none: null, NaN and infinity are all 'not measured'."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def quality(value: object, digits: int = 4) -> str:
    """A metric between 0 and 1, as `.2641`."""
    number = known(value)
    if number is None:
        return DASH
    text = f"{abs(number):.{digits}f}".removeprefix("0")
    return (MINUS if number < 0 and float(text) else "") + text


def difference(value: object, digits: int = 4) -> str:
    """A signed difference of metrics, as `+.0021`; without a sign where it rounds to nothing."""
    number = known(value)
    text = quality(number, digits)
    return "+" + text if number is not None and number > 0 and float(text) else text


def size(count: object) -> str:
    """Bytes in three digits; 1 kB = 1,000 bytes."""
    number = known(count)
    if number is None:
        return DASH
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 999.5 or unit == "TB":
            return f"{number:.0f} B" if unit == "B" else f"{_digits(number)} {unit}"
        number /= 1000
    raise AssertionError("unreachable")


def share(part: object, whole: object) -> float | None:
    """part / whole, or None where that says nothing."""
    a, b = known(part), known(whole)
    return None if a is None or b is None or b <= 0 else a / b


def percent(fraction: object) -> str:
    number = known(fraction)
    if number is None:
        return DASH
    if 0 < number < 0.0005:
        return "< .1 %"
    return f"{100 * number:.1f} %"


def factor(ratio: object) -> str:
    """How many times, as "6.1 times", with the sign."""
    number = known(ratio)
    if number is None:
        return DASH
    return (f"{number:,.0f}" if number >= 9.95 else f"{number:.1f}" if number >= 0.995 else f"{number:.2f}") + TIMES


def rate(value: object) -> str:
    """A count per second in three digits, as `12,300`."""
    number = known(value)
    if number is None or number <= 0:
        return DASH
    return f"{float(f'{number:.3g}'):,.0f}" if number >= 100 else _digits(number)


def milliseconds(value: object) -> str:
    number = known(value)
    return DASH if number is None or number <= 0 else _digits(number)


def amount(value: object) -> str:
    """Any number of 0 or more in three digits."""
    number = known(value)
    return DASH if number is None else _digits(number)


def duration(seconds: object) -> str:
    number = known(seconds)
    if number is None:
        return DASH
    if number < 99.5:
        return f"{_digits(number)} s"
    minutes, rest = divmod(round(number), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def count(value: object) -> str:
    number = known(value)
    return DASH if number is None else f"{number:,.0f}"


def metric_name(metric: str) -> str:
    """`ndcg@20` as `NDCG@20`."""
    name, at, k = metric.partition("@")
    return _METRICS.get(name, name[:1].upper() + name[1:]) + at + k


def _digits(number: float) -> str:
    """Three significant digits, never in exponents."""
    number = float(f"{number:.3g}")
    if number == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(number))))
    return f"{number:,.{min(decimals, 3)}f}".removeprefix("0")
