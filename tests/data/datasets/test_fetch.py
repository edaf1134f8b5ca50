"""Whatever the server does, what lies there in the end is the published file, or nothing."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from recdistill.data.datasets import fetch, open_dataset
from recdistill.errors import ConfigError, DataError
from tests.data.datasets.conftest import (
    QUICK,
    TINY,
    Request,
    Server,
    corrupt,
    cut,
    entry,
    packed,
    stall,
    status,
    whole,
    whole_again,
)


def names(folder: Path) -> list[str]:
    """What lies in a folder, locks aside."""
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def fetched(server: Server, **changes: object) -> Path:
    return fetch(entry(server.url, **changes), patience=QUICK)  # type: ignore[arg-type]


def refused(server: Server, folder: Path, **changes: object) -> str:
    """The one line of a fetch that fails; nothing has the file's name."""
    with pytest.raises(DataError) as fault:
        fetched(server, **changes)
    assert not (folder / "tiny.zip").exists()
    assert "\n" not in str(fault.value)
    return str(fault.value)


def test_a_fetched_file_is_whole_and_lies_where_the_variable_says(server: Server, own_folder: Path) -> None:
    path = fetched(server)
    assert path == own_folder / "tiny.zip"
    assert path.read_bytes() == TINY
    assert names(own_folder) == ["tiny.zip", "tiny.zip.json"]


def test_what_is_there_is_not_asked_for_again(server: Server) -> None:
    assert fetched(server) == fetched(server)
    assert len(server.log) == 1


def test_progress_tells_bytes_so_far_and_in_all(server: Server) -> None:
    told: list[tuple[int, int | None]] = []
    fetch(entry(server.url), patience=QUICK, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (len(TINY), len(TINY))


def test_a_download_that_was_cut_goes_on_where_it_broke_off(server: Server) -> None:
    server.script = [cut, cut, whole]
    assert fetched(server).read_bytes() == TINY
    half = len(TINY) - len(TINY) // 2
    three_quarters = len(TINY) - (len(TINY) - half) // 2
    assert server.ranges == [None, f"bytes={half}-", f"bytes={three_quarters}-"]


def test_a_download_goes_on_in_the_next_command(server: Server, own_folder: Path) -> None:
    server.script = [cut, status(404)]
    refused(server, own_folder)
    assert names(own_folder) == ["tiny.zip.part", "tiny.zip.part.json"]
    server.script = [whole]
    assert fetched(server).read_bytes() == TINY
    assert server.ranges[-1] == f"bytes={len(TINY) - len(TINY) // 2}-"
    assert names(own_folder) == ["tiny.zip", "tiny.zip.json"]


def test_a_server_that_ignores_the_range_is_noticed_and_the_file_begun_again(server: Server) -> None:
    server.script = [cut, whole_again]
    assert fetched(server, pinned=False).read_bytes() == TINY
    assert server.ranges[1] is not None


def test_a_server_that_goes_on_from_another_place_is_not_believed(server: Server) -> None:
    server.script = [cut, lambda request: request.send(code=206, start=7), whole]
    assert fetched(server).read_bytes() == TINY
    assert server.ranges[2] is None


def test_a_file_that_changes_between_two_requests_is_begun_again(server: Server) -> None:
    other = packed({"tiny/ratings.csv": "userId,movieId\n1,2\n" * 900, "tiny/movies.csv": "movieId,title\n"})

    def change(request: Request) -> None:
        cut(request)
        server.tag, server.bodies["tiny.zip"] = '"second"', other

    server.script = [change, whole]
    assert fetched(server, pinned=False).read_bytes() == other
    assert server.ranges[1] is not None


def test_a_part_that_is_complete_already_is_taken(server: Server, own_folder: Path) -> None:
    own_folder.mkdir()
    (own_folder / "tiny.zip.part").write_bytes(TINY)
    state = {"url": f"{server.url}/tiny.zip", "validator": server.tag}
    (own_folder / "tiny.zip.part.json").write_text(json.dumps(state))
    server.script = [lambda request: request.head(416, Content_Range=f"bytes */{len(TINY)}", Content_Length="0")]
    assert fetched(server).read_bytes() == TINY


def test_a_part_longer_than_the_file_is_begun_again(server: Server, own_folder: Path) -> None:
    own_folder.mkdir()
    (own_folder / "tiny.zip.part").write_bytes(TINY + b"more")
    server.script = [lambda request: request.head(416, Content_Range=f"bytes */{len(TINY)}", Content_Length="0"), whole]
    assert fetched(server).read_bytes() == TINY
    assert server.ranges == [f"bytes={len(TINY) + 4}-", None]


def test_a_server_that_falls_silent_is_given_up_and_asked_again(server: Server) -> None:
    server.script = [stall, whole]
    assert fetched(server).read_bytes() == TINY
    assert server.ranges[1] == f"bytes={len(TINY) // 3}-"


def test_a_server_that_is_always_silent_is_one_line(server: Server, own_folder: Path) -> None:
    def silent(request: Request) -> None:
        request.quit.wait(5)

    server.script = [silent]
    with pytest.raises(DataError, match=r"no byte for 0.05 s \(2 times in a row\)"):
        fetch(entry(server.url), patience=replace(QUICK, stall=0.05, tries=2))
    assert not (own_folder / "tiny.zip").exists()


def test_corrupt_bytes_are_noticed_and_the_file_fetched_anew(server: Server) -> None:
    server.script = [corrupt, whole]
    assert fetched(server).read_bytes() == TINY
    assert server.ranges == [None, None]


def test_a_file_that_stays_corrupt_is_refused(server: Server, own_folder: Path) -> None:
    server.script = [corrupt]
    assert "SHA-256" in refused(server, own_folder)
    assert names(own_folder) == []
    assert len(server.log) == 2


def test_without_a_known_sha256_a_corrupt_zip_is_found_by_its_crc(server: Server, own_folder: Path) -> None:
    server.script = [corrupt]
    assert "does not match its CRC" in refused(server, own_folder, pinned=False)


def test_without_a_known_sha256_the_md5_beside_the_file_decides(server: Server, own_folder: Path) -> None:
    server.bodies["tiny.zip.md5"] = b"MD5 (tiny.zip) = " + b"0" * 32
    assert "is published beside it" in refused(server, own_folder, pinned=False, md5_beside=True)
    server.bodies["tiny.zip.md5"] = hashlib.md5(TINY).hexdigest().upper().encode() + b"  tiny.zip\n"
    assert fetched(server, pinned=False, md5_beside=True).read_bytes() == TINY
    assert ("/tiny.zip.md5", None) in server.log


def test_without_a_known_sha256_that_of_the_first_download_is_held_to(server: Server, own_folder: Path) -> None:
    told: list[str] = []
    path = fetch(entry(server.url, pinned=False), patience=QUICK, say=told.append)
    assert any("first download" in line for line in told)
    path.unlink()
    server.bodies["tiny.zip"] = packed({"tiny/ratings.csv": "userId,movieId\n", "tiny/movies.csv": "movieId\n"})
    line = refused(server, own_folder, pinned=False)
    assert "was recorded at the first fetch" in line and "tiny.zip.json" in line
    (own_folder / "tiny.zip.json").unlink()
    assert fetched(server, pinned=False).read_bytes() == server.bodies["tiny.zip"]


@pytest.mark.parametrize("code", [500, 503, 429])
def test_a_server_in_trouble_is_asked_again(code: int, server: Server) -> None:
    server.script = [status(code), status(code), whole]
    assert fetched(server).read_bytes() == TINY


def test_a_file_that_is_not_there_is_not_asked_for_again(server: Server, own_folder: Path) -> None:
    server.script = [status(404), whole]
    assert "HTTP 404" in refused(server, own_folder)
    assert len(server.log) == 1


def test_another_size_than_the_published_one_is_refused_before_the_download(server: Server, own_folder: Path) -> None:
    server.bodies["tiny.zip"] = TINY + TINY
    line = refused(server, own_folder)
    assert f"serves {2 * len(TINY):,} bytes, {len(TINY):,} are published" in line


def test_fewer_bytes_than_published_from_a_server_that_announces_none_are_refused(
    server: Server, own_folder: Path
) -> None:
    def unannounced(request: Request) -> None:
        request.head(200)
        request.handler.wfile.write(request.body[:-9])

    server.script = [unannounced]
    assert f"{len(TINY) - 9:,} bytes came" in refused(server, own_folder)


def test_a_page_in_the_place_of_the_file_is_refused(server: Server, own_folder: Path) -> None:
    server.bodies["tiny.zip"] = b"<html>please log in</html>"
    line = refused(server, own_folder, pinned=False)
    assert "not a whole zip" in line and "<html>please log in" in line


def test_a_zip_of_something_else_is_refused(server: Server, own_folder: Path) -> None:
    server.bodies["tiny.zip"] = packed({"letter.txt": "dear"})
    assert "it holds letter.txt; tiny has ratings.csv, movies.csv" in refused(server, own_folder, pinned=False)


def test_a_redirect_is_followed_and_resumed(server: Server) -> None:
    def away(request: Request) -> None:
        request.head(302, Location=f"{server.url}/elsewhere/tiny.zip", Content_Length="0")

    server.script = [away, cut, away, whole]
    assert fetched(server).read_bytes() == TINY
    assert [path for path, _ in server.log] == ["/tiny.zip", "/elsewhere/tiny.zip"] * 2
    assert server.ranges[3] is not None


def test_the_second_mirror_serves_where_the_first_is_dead(serve: Callable[[], Server], server: Server) -> None:
    told: list[str] = []
    dead = "http://127.0.0.1:9"
    path = fetch(entry(dead, server.url), patience=QUICK, say=told.append)
    assert path.read_bytes() == TINY
    assert any(dead in line and "giving this mirror up" in line for line in told)


def test_the_second_mirror_goes_on_where_the_first_broke_off(serve: Callable[[], Server], server: Server) -> None:
    first = serve()
    first.bodies["tiny.zip"] = TINY
    first.script, first.tag = [cut, status(404)], '"another tag"'
    assert fetch(entry(first.url, server.url), patience=QUICK).read_bytes() == TINY
    assert server.ranges == [f"bytes={len(TINY) - len(TINY) // 2}-"]


def test_when_all_fail_each_mirror_is_named_with_its_reason_and_the_cures(server: Server, own_folder: Path) -> None:
    server.script = [status(403)]
    with pytest.raises(DataError) as fault:
        fetch(entry("http://127.0.0.1:9", server.url), patience=QUICK)
    line = str(fault.value)
    assert "http://127.0.0.1:9/tiny.zip: no connection" in line and f"{server.url}/tiny.zip: HTTP 403" in line
    assert "--from ZIP_OR_FOLDER" in line and "RECDISTILL_MIRROR" in line


def test_an_own_mirror_is_asked_first(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECDISTILL_MIRROR", f"{server.url}/ours/")
    fetch(entry("http://127.0.0.1:9"), patience=QUICK)
    assert server.log[0][0] == "/ours/tiny.zip"


def test_a_mirror_that_is_asked_for_stands_alone(server: Server, serve: Callable[[], Server]) -> None:
    empty = serve()
    with pytest.raises(DataError, match="HTTP 404"):
        fetch(entry(server.url), mirrors=[empty.url], patience=QUICK)
    assert server.log == []


def test_a_mirror_that_is_no_address_is_refused() -> None:
    with pytest.raises(ConfigError, match="begins with http:// or https://"):
        fetch(entry("http://127.0.0.1:9"), mirrors=["/srv/mirror"])


def test_two_at_once_download_once(server: Server) -> None:
    arrived, go = threading.Event(), threading.Event()
    told: list[str] = []

    def slow(request: Request) -> None:
        arrived.set()
        go.wait(5)
        request.send()

    def second() -> None:
        fetch(entry(server.url), patience=replace(QUICK, stall=5.0), say=lambda line: (told.append(line), go.set())[0])

    server.script = [slow]
    threads = [
        threading.Thread(target=fetch, args=(entry(server.url),), kwargs={"patience": replace(QUICK, stall=5.0)})
    ]
    threads[0].start()
    assert arrived.wait(5)
    threads.append(threading.Thread(target=second))
    threads[1].start()
    for thread in threads:
        thread.join()
    assert len(server.log) == 1
    assert "another process is fetching it" in told[0]


def test_a_folder_that_cannot_be_made_is_one_line_with_the_cure(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="RECDISTILL_DATA=FOLDER"):
        fetch(entry(server.url), folder=tmp_path / "file" / "data", patience=QUICK)
    assert server.log == []


def test_a_disk_that_refuses_is_one_line_with_the_cure(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"No space left on device\. Free space"):
        fetched(server)


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no data set 'ml-1n'\. Did you mean 'ml-1m'"):
        fetch("ml-1n")


def test_a_data_set_that_is_not_there_is_refused_with_the_command(own_folder: Path) -> None:
    with pytest.raises(DataError, match="Run: recdistill data fetch ml-1m") as fault:
        open_dataset("ml-1m")
    assert str(own_folder) in str(fault.value)


def test_a_fetched_data_set_is_opened(server: Server) -> None:
    assert open_dataset(entry(server.url)) if fetched(server) else False


def test_a_file_that_changed_since_it_was_fetched_is_refused_and_fetched_again(server: Server) -> None:
    path = fetched(server)
    path.write_bytes(TINY[:-5] + b"wrong")
    with pytest.raises(DataError, match="changed since it was fetched"):
        open_dataset(entry())
    assert fetched(server).read_bytes() == TINY
    assert open_dataset(entry()) == path


def test_a_file_that_was_only_touched_is_still_the_same(server: Server) -> None:
    path = fetched(server)
    os.utime(path, (1, 1))
    assert open_dataset(entry()) == path


def test_a_file_put_there_by_hand_is_looked_at_once_and_then_held_to(own_folder: Path) -> None:
    own_folder.mkdir()
    (own_folder / "tiny.zip").write_bytes(TINY)
    path = open_dataset(entry())
    path.write_bytes(packed({"tiny/ratings.csv": "", "tiny/movies.csv": ""}))
    with pytest.raises(DataError, match="changed since"):
        open_dataset(entry())


def test_a_wrong_file_put_there_by_hand_is_refused(own_folder: Path) -> None:
    own_folder.mkdir()
    (own_folder / "tiny.zip").write_bytes(packed({"letter.txt": "dear"}))
    with pytest.raises(DataError, match=r"not tiny: it holds letter\.txt"):
        open_dataset(entry())


def test_the_log_among_several_members_is_named(server: Server) -> None:
    path = fetched(server)
    assert open_dataset(entry(log="tiny/ratings.csv")) == Path(f"{path}!tiny/ratings.csv")
