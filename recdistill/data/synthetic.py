"""The demo log: invented people who watch invented films over two years.

A film has a genre, a maker, a taste of its own, a draw (long-tailed) and a day from which it can be seen. A person
likes a few genres and some makers, drifts a little, comes in sessions with a mood, picks among what is out and not yet
seen, and at times picks anything. No model's assumptions are built in beyond that.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from recdistill.data.titles import WORDS, titles

START = 1_640_995_200
"""2022-01-01, in seconds."""
DAYS = 730
DAY = 86_400


@dataclass(frozen=True, kw_only=True)
class DemoLog:
    """What the generator is made with."""

    users: int = 2000
    items: int = 1000
    mean_rows: float = 40.0
    """Rows of a user, log-normal."""
    makers: int = 250
    """Who made the films; each keeps to one genre, mostly."""
    dimension: int = 16
    """Of tastes and films."""
    sharpness: float = 1.0
    """How much taste decides, against a film's draw and chance."""
    whim: float = 0.1
    """Share of picks that have nothing to do with taste."""
    seed: int = 0


@dataclass(frozen=True)
class _Films:
    vectors: np.ndarray  # (n, d)
    genres: np.ndarray  # (n,)
    makers: np.ndarray  # (n,)
    draw: np.ndarray  # (n,) log weight
    day: np.ndarray  # (n,) of release; negative: before the log begins
    names: np.ndarray


@dataclass(frozen=True)
class _People:
    early: np.ndarray  # (m, d) taste on the first day
    late: np.ndarray  # (m, d) taste on the last
    mainstream: np.ndarray  # (m,) weight of a film's draw
    fond: np.ndarray  # (m, makers) how much they like each maker


@dataclass(frozen=True)
class _Visits:
    users: np.ndarray  # (rows,) sorted by user and time
    days: np.ndarray  # (rows,)
    sessions: np.ndarray  # (rows,) 0.. over all users


def generate(settings: DemoLog | None = None) -> pa.Table:
    """user_id (int), item_id (title), timestamp (seconds), in order of time."""
    settings = settings or DemoLog()
    generator = np.random.default_rng(settings.seed)
    centres = generator.standard_normal((len(WORDS), settings.dimension)) / np.sqrt(settings.dimension)
    films = _films(settings, centres, generator)
    people = _people(settings, centres, generator)
    visits = _visits(settings, generator)
    picked = _picks(settings, films, people, visits, generator)
    seconds = START + np.floor(visits.days * DAY).astype(np.int64)
    order = np.lexsort((visits.users, seconds))
    return pa.table(
        {
            "user_id": pa.array(visits.users[order] + 1, pa.int32()),
            "item_id": pa.array(films.names[picked[order]], pa.string()),
            "timestamp": pa.array(seconds[order], pa.int64()),
        }
    )


def demo_log_path() -> Path:
    """The committed log where the package runs from a checkout, else one generated into a temporary folder."""
    committed = Path(__file__).parents[2] / "data" / "sample" / "interactions.parquet"
    if committed.is_file():
        return committed
    path = Path(tempfile.mkdtemp(prefix="recdistill-demo-")) / "interactions.parquet"
    write(path)
    return path


def write(path: Path, settings: DemoLog | None = None) -> None:
    """Generates the log into a Parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(generate(settings), path, compression="zstd", compression_level=19)


def _films(settings: DemoLog, centres: np.ndarray, generator: np.random.Generator) -> _Films:
    n = settings.items
    usual = _race(np.tile(1 / np.sqrt(1 + np.arange(len(centres))), (settings.makers, 1)), generator)
    makers = np.floor(generator.random(n) ** 1.5 * settings.makers).astype(int)
    elsewhere = np.floor(generator.random(n) * len(centres)).astype(int)
    genres = np.where(generator.random(n) < 0.85, usual[makers], elsewhere)
    vectors = centres[genres] + 0.7 * generator.standard_normal((n, settings.dimension)) / np.sqrt(settings.dimension)
    draw = 1.1 * generator.standard_normal(n)
    day = np.where(generator.random(n) < 0.25, np.floor(generator.random(n) * DAYS), -1.0)
    old = 2021 - np.floor(-18 * np.log(1 - generator.random(n) * 0.97)).astype(int)
    years = np.where(day >= 0, 2022 + (day // 365).astype(int), old)
    return _Films(vectors, genres, makers, draw, day, titles(genres, years, generator))


def _people(settings: DemoLog, centres: np.ndarray, generator: np.random.Generator) -> _People:
    m = settings.users
    liking = np.exp(2.2 * generator.standard_normal((m, len(centres))))
    liking /= liking.sum(axis=1, keepdims=True)  # a few genres each
    spread = np.sqrt(settings.dimension)
    early = 6.0 * liking @ centres + 1.2 * generator.standard_normal((m, settings.dimension)) / spread * 2
    late = early + 1.2 * generator.standard_normal((m, settings.dimension)) / spread * 2
    fond = 1.5 * (generator.random((m, settings.makers)) < 0.12)
    return _People(early, late, 0.5 + 0.7 * generator.random(m), fond)


def _visits(settings: DemoLog, generator: np.random.Generator) -> _Visits:
    """When each user comes: a first and a last day, sessions in between, minutes between the picks of a session."""
    m = settings.users
    counts = np.exp(np.log(settings.mean_rows) - 0.32 + 0.8 * generator.standard_normal(m))
    counts = counts.astype(np.int64).clip(5, settings.items // 4)
    first = DAYS * np.maximum(0, 1.25 * generator.random(m) - 0.3)  # a quarter are there from the start
    last = np.minimum(DAYS, first + 30 - 700 * np.log(1 - generator.random(m)))
    users = np.repeat(np.arange(m), counts)
    opens = generator.random(len(users)) < 0.22
    opens[np.cumsum(counts) - counts] = True
    sessions = np.cumsum(opens) - 1
    at = users[opens]
    begins = first[at] + (last - first)[at] * generator.random(len(at)) * 0.999
    gaps = np.where(opens, 0.0, (2 + 10 * generator.random(len(users))) / 1440)
    ahead = np.cumsum(gaps)
    days = np.minimum(begins[sessions] + ahead - ahead[opens][sessions], DAYS - 1e-4)
    order = np.lexsort((days, users))
    return _Visits(users, days[order], sessions[order])


def _picks(
    settings: DemoLog, films: _Films, people: _People, visits: _Visits, generator: np.random.Generator
) -> np.ndarray:
    """The film of each row: all users' first picks together, then all second ones; nobody sees a film twice."""
    counts = np.bincount(visits.users, minlength=settings.users)
    starts = np.cumsum(counts) - counts
    genre_of_mood = films.genres[np.floor(generator.random(visits.sessions.max() + 1) * settings.items).astype(int)]
    moody = generator.random(len(genre_of_mood)) < 0.5
    unseen = np.ones((settings.users, settings.items), dtype=bool)
    whims = generator.random(len(visits.users)) < settings.whim
    picked = np.empty(len(visits.users), dtype=np.int64)
    new = np.flatnonzero(films.day >= 0)
    for place in range(counts.max()):
        users = np.flatnonzero(counts > place)
        rows = starts[users] + place
        age = visits.days[rows][:, None] - films.day  # (users, items)
        taste = people.early[users] + (people.late - people.early)[users] * (visits.days[rows] / DAYS)[:, None]
        wish = settings.sharpness * taste @ films.vectors.T + people.mainstream[users][:, None] * films.draw
        in_mood = (films.genres == genre_of_mood[visits.sessions[rows]][:, None]) & moody[visits.sessions[rows]][
            :, None
        ]
        wish += 1.0 * in_mood + people.fond[users][:, films.makers]
        wish[:, new] += 1.2 * np.exp(-np.maximum(age[:, new], 0) / 45)
        wish[whims[rows]] = 0.3 * films.draw
        picked[rows] = _race(np.exp(wish) * (unseen[users] & (age >= 0)), generator)
        unseen[users, picked[rows]] = False
    return picked


def _race(weights: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """One column for each row, with chances as the weights (exponential race)."""
    return np.argmax(weights / -np.log(1 - generator.random(weights.shape)), axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the demo log.")
    parser.add_argument("--out", type=Path, default=Path("data/sample/interactions.parquet"))
    parser.add_argument("--seed", type=int, default=DemoLog.seed)
    arguments = parser.parse_args()
    write(arguments.out, DemoLog(seed=arguments.seed))


if __name__ == "__main__":
    main()
