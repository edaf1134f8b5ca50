"""The page: one file, nothing fetched, everything escaped, all of it there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from recdistill.report import findings, html

Variants = dict[str, Callable[[], dict[str, Any]]]
VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """Tags with their attributes, visible text, and whether every tag that opens closes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


def test_nothing_is_fetched(variant: dict[str, Any]) -> None:
    text = html.render(variant)
    for tag, attributes in Page(text).tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "img", "base")
        for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    assert "http://" not in text and "https://" not in text and "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_every_tag_is_closed_and_every_id_is_alone(variant: dict[str, Any]) -> None:
    page = Page(html.render(variant))
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    pointed = {(a.get("href") or "#")[1:] for _, a in page.tags} | {
        a.get("aria-labelledby") or "" for _, a in page.tags
    }
    assert pointed - {""} <= set(ids)


def test_clip_paths_point_at_something(report: dict[str, Any]) -> None:
    text = html.render(report)
    ids = set(re.findall(r'id="([^"]+)"', text))
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= ids


def test_the_first_words_are_the_split_and_the_verdict(variant: dict[str, Any]) -> None:
    page = Page(html.render(variant)).text
    split, verdict = findings.split_line(variant), findings.verdict(variant)
    assert split in page and verdict in page
    assert page.index(split) < page.index(verdict) < 900


def test_names_from_files_stay_text(variants: Variants) -> None:
    page = Page(html.render(variants["hostile_names"]()))
    tags = [tag for tag, _ in page.tags]
    assert "script" not in tags and "img" not in tags
    assert not any("onload" in attributes or "onerror" in attributes for _, attributes in page.tags)
    for name in (
        "<script>alert(1)</script>",
        "</svg><script>alert(3)</script> $x_1$",
        "{{ 7 * 7 }} ${evil}$",
        "<b>mine</b>",
        "<script>alert(5)</script>",
        "<img src=x onerror=alert(6)>",
    ):
        assert name in page.text


def test_colours_are_variables_of_the_page(report: dict[str, Any]) -> None:
    text = html.render(report)
    assert "#a0000" not in text
    style = text[: text.index("</style>")]
    assert all(f"{name}:" in style for name in set(re.findall(r"var\((--[a-z-]+)\)", text)))
    assert "prefers-color-scheme: dark" in style


def test_charts_are_described_in_words_and_keep_their_type(report: dict[str, Any]) -> None:
    text = html.render(report)
    drawn = [attributes for tag, attributes in Page(text).tags if tag == "svg"]
    assert len(drawn) == 5
    assert all(attributes["role"] == "img" and len(attributes["aria-label"] or "") > 60 for attributes in drawn)
    assert ">student alone</text>" in text
    assert "DejaVu" not in text


def test_an_axis_that_does_not_start_at_nought_is_said_to(report: dict[str, Any]) -> None:
    text = Page(html.render(report)).text
    assert "not from 0." in text
    assert "Off the chart below, drawn at its edge: popularity." in text


def test_latency_stands_in_where_throughput_is_missing(report: dict[str, Any]) -> None:
    for model in report["models"].values():
        model["queries_per_second"] = None
    assert "milliseconds a query (log scale)" in html.render(report)


def test_no_chart_of_time_without_a_measured_time(variants: Variants) -> None:
    assert "NDCG@20 against time" not in html.render(variants["without_speed"]())


def test_no_section_for_what_is_not_there(variants: Variants) -> None:
    assert "What was lost" not in html.render(variants["without_groups"]())
    bare = html.render(variants["bare"]())
    assert "Agreement with the teacher" not in bare and "more than chance" not in bare
    assert "Nothing was cut." in bare


def test_new_items_stand_apart_with_every_model_that_ranks_them(variants: Variants) -> None:
    text = Page(html.render(variants["with_new_items"]())).text
    _, _, apart = text.partition("New items, by their features")
    assert "The table of items has 304 that the train part has not." in apart
    assert "3,410 users want 9,706 of them (9.8 % of what is wanted); a random order would find 0.7 %." in apart
    assert "3 more of the wanted are in no table" in apart
    assert ".0738" in apart and "11×" in apart and ".2516" in apart and ".0500" in apart
    assert "New items, by their features" not in Page(html.render(variants["full_report"]())).text


def test_people_are_shown_by_what_they_used_with_hits_marked(report: dict[str, Any]) -> None:
    text = html.render(report)
    page = Page(text).text
    assert "A person with 42 rows who took 3 in the test part" in page and "A person with 1 row who" in page
    assert page.count("Used last") == 2 and page.count("Used, among others") == 1
    assert text.count('class="hit">Heat (1995)<span aria-hidden="true"> ✓') == 3
    assert "<li>Ran (1985)</li>" in text
    assert page.count("teacher: 2 of 3 in its first 20") == page.count("student: 0 of 3 in its first 20") == 3


def test_an_older_report_has_no_examples(report: dict[str, Any]) -> None:
    del report["examples"]
    assert "By example" not in html.render(report)


def test_an_example_of_a_model_that_is_not_in_the_report_is_left_out(report: dict[str, Any]) -> None:
    for one in report["examples"]:
        one["lists"] = {"gone": one["lists"]["teacher"]}
    assert "By example" not in html.render(report)


def test_what_was_dropped_and_cut_is_told(report: dict[str, Any]) -> None:
    page = Page(html.render(report)).text
    for line in (*report["data"]["notes"], *report["protocol"]["notes"], *report["cut"], report["command"]):
        assert line in page
    assert "teacher.dim" in page and report["data"]["sha256"] in page and "3,043" in page


def test_the_file_is_replaced_as_a_whole(report: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    html.write_html(report, path)
    first = path.read_text(encoding="utf-8")
    html.write_html(report, path)
    assert path.read_text(encoding="utf-8") == first
    with pytest.raises(KeyError):
        html.write_html({"models": {}}, path)
    assert path.read_text(encoding="utf-8") == first
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_the_report_is_imported_without_matplotlib_or_torch() -> None:
    code = (
        "import sys, recdistill.report.html, recdistill.report.table\n"
        "print({'matplotlib', 'torch', 'pandas'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"


def test_a_name_is_never_read_as_a_formula(report: dict[str, Any]) -> None:
    report["models"]["student"]["label"] = r"$\frac$_1"
    assert r">$\frac$_1</text>" in html.render(report)


def by_popularity(report: dict[str, Any], name: str, values: dict[str, float], users: int) -> None:
    for group in report["models"][name]["groups"]["popularity"]:
        group |= {"recall@20": values[group["group"]], "users": users}


def test_a_group_where_the_teacher_finds_next_to_nothing_has_no_share(report: dict[str, Any]) -> None:
    by_popularity(report, "teacher", {"head": 0.20, "mid": 0.10, "tail": 0.0004}, 250)
    by_popularity(report, "student", {"head": 0.19, "mid": 0.06, "tail": 0.0010}, 250)
    text = Page(html.render(report)).text
    assert "most of its teacher in the group head (95.0 %) and least in the group mid (60.0 %)." in text
    assert "In the group tail the teacher itself is within two standard errors of nothing" in text
    assert "250.0 %" not in text


def test_a_share_above_the_whole_is_called_level_within_its_errors(report: dict[str, Any]) -> None:
    by_popularity(report, "teacher", {"head": 0.20, "mid": 0.10, "tail": 0.08}, 250)
    by_popularity(report, "student", {"head": 0.21, "mid": 0.05, "tail": 0.06}, 250)
    assert "in the group head (105.0 %, level with it)" in Page(html.render(report)).text
    by_popularity(report, "student", {"head": 0.40, "mid": 0.05, "tail": 0.06}, 250)
    assert "in the group head (200.0 %)" in Page(html.render(report)).text
