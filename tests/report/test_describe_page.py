"""The page of a log: one file, nothing fetched, everything escaped, drawn for every kind of log."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from recdistill.data.describe import Description, describe
from recdistill.data.readers import read_interactions
from recdistill.errors import ArtifactError
from recdistill.report.describe_page import render, write_page
from recdistill.report.describe_text import verdict
from tests.conftest import tiny_frame, with_split
from tests.report.test_html import Page


@pytest.fixture(scope="module")
def told() -> Description:
    frame = with_split(tiny_frame()).assign(rating=[1 + row % 5 for row in range(len(tiny_frame()))])
    return describe(read_interactions(frame, split_column="split"))


@pytest.fixture(scope="module")
def text(told: Description) -> str:
    return render(told)


def test_nothing_is_fetched_and_every_tag_is_closed(text: str) -> None:
    page = Page(text)
    assert page.open == []
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "img", "base")
        assert all((attributes.get(name) or "#").startswith("#") for name in ("src", "href", "xlink:href"))
    assert "http://" not in text and "https://" not in text and not re.search(r"url\((?!#)", text)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_first_words_say_what_the_log_is(told: Description, text: str) -> None:
    page = Page(text).text
    said = verdict(told).partition(": ")[2]
    assert page.index(said) < 300


def test_every_chart_is_described_in_words_and_in_the_colours_of_the_page(text: str) -> None:
    drawn = [attributes for tag, attributes in Page(text).tags if tag == "svg"]
    assert len(drawn) == 6
    assert all(len(attributes["aria-label"] or "") > 40 for attributes in drawn)
    assert "#a0000" not in text
    style = text[: text.index("</style>")]
    assert all(f"{name}:" in style for name in set(re.findall(r"var\((--[a-z-]+)\)", text)))


def test_every_split_stands_in_the_table(told: Description, text: str) -> None:
    page = Page(text).text
    for shape in told.splits:
        assert shape.name.replace("_", "-") in page
    assert "answered with popularity" in page


def test_names_from_files_stay_text() -> None:
    hostile = "<script>alert(1)</script> $x_1$ {{ 7 * 7 }}"
    frame = pd.DataFrame({"user_id": ["a", "b", "c", "c"], "item_id": [hostile, hostile, "y", hostile]})
    page = Page(render(describe(read_interactions(frame))))
    assert "script" not in [tag for tag, _ in page.tags]
    assert hostile in page.text


def test_a_log_that_no_split_fits_still_has_its_page() -> None:
    frame = pd.DataFrame({"user_id": ["a", "b"], "item_id": ["x", "y"]})
    page = Page(render(describe(read_interactions(frame)))).text
    assert "cannot be made" in page and "Rows in each part" not in page


def test_the_file_is_whole_or_not_there(told: Description, tmp_path: Path) -> None:
    write_page(told, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8").rstrip().endswith("</html>")
    with pytest.raises(ArtifactError, match="cannot be written"):
        write_page(told, tmp_path / "no" / "page.html")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
