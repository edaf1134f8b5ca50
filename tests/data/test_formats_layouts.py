from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from recdistill.data.formats.registry import open_source
from recdistill.data.readers import check_file, read_interactions
from recdistill.errors import DataError

REAL = Path(__file__).parents[3] / "shared" / "data"

DAT = {
    "ratings.dat": "1::10::5::978300760\n1::20::3::978302109\n2::10::4::978301968\n",
    "movies.dat": "10::Amélie (2001)::Comedy|Romance\n20::Heat (1995)::Crime\n30::Unseen::(no genres listed)\n".encode(
        "latin-1"
    ),
    "users.dat": "1::F::1::10::48067\n2::M::56::16::70072\n",
}
CSV = {
    "ratings.csv": "userId,movieId,rating,timestamp\n1,10,5.0,978300760\n1,20,3.0,978302109\n2,10,4.0,978301968\n",
    "movies.csv": 'movieId,title,genres\n10,Amélie (2001),Comedy|Romance\n20,"Heat, The (1995)",Crime\n',
    "links.csv": "movieId,imdbId,tmdbId\n10,1,2\n",
    "tags.csv": "userId,movieId,tag,timestamp\n1,10,french,978300760\n",
    "README.txt": "Summary\n",
}
FLAGS = "|".join("1" if place in (5, 14) else "0" for place in range(19))
U_DATA = {
    "u.data": "1\t10\t5\t978300760\n1\t20\t3\t978302109\n2\t10\t4\t978301968\n",
    "u.item": f"10|Amélie (2001)|01-Jan-2001||http://x|{FLAGS}\n20|Heat (1995)|||http://y|1|{FLAGS[2:]}\n".encode(
        "latin-1"
    ),
    "u.user": "1|24|M|technician|85711\n2|53|F|other|94043\n",
    "u1.base": "1\t10\t5\t978300760\n",
    "README": "Summary\n",
}
ATOMIC = {
    "films.inter": (
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        "1\t10\t5\t978300760\n1\t20\t3\t978302109\n2\t10\t4\t978301968\n"
    ),
    "films.item": (
        "item_id:token\ttitle:token_seq\tgenre:token_seq\tvector:float_seq\n"
        '10\tThe "Big" Amélie\tComedy Romance\t0.5 1\n20\tHeat\tCrime\t1 2\n'
    ),
    "films.user": "user_id:token\tage:float\n1\t24\n2\t53\n",
}
LAYOUTS = {
    "ratings.dat": DAT,
    "ratings.csv": {name: CSV[name] for name in CSV if name != "tags.csv"} | {"tags.csv": CSV["tags.csv"]},
    "u.data": U_DATA,
    "films.inter": ATOMIC,
}


def put(folder: Path, files: dict[str, str | bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"inside/{file.name}")
        archive.writestr("__MACOSX/inside/._x.csv", "x")
    return path


def given(folder: Path, form: str, log: str) -> Path:
    return {
        "file": folder / log,
        "folder": folder,
        "folder around it": folder.parent,
        "zip": folder.parent / "all.zip",
        "member": Path(f"{folder.parent / 'all.zip'}!inside/{log}"),
        "member by a slash": folder.parent / "all.zip" / "inside" / log,
    }[form]


@pytest.mark.parametrize("form", ["file", "folder", "folder around it", "zip", "member", "member by a slash"])
@pytest.mark.parametrize("log", LAYOUTS)
def test_a_layout_is_known_as_a_file_a_folder_and_an_archive(tmp_path: Path, log: str, form: str) -> None:
    folder = put(tmp_path / "place" / "films", LAYOUTS[log])
    if form != "folder around it":
        zipped(folder, folder.parent / "all.zip")
    read = read_interactions(given(folder, form, log)).ordered()
    assert read.users.ids(read.user_rows).tolist() == [1, 1, 2]
    assert read.items.ids(read.item_rows).tolist() == [10, 20, 10]
    assert read.values.tolist() == [5, 3, 4]
    assert read.times.tolist() == [978300760, 978302109, 978301968]
    assert "Amélie" in read.item_features.titles(read.items)[0]
    assert (read.user_features is None) == (log == "ratings.csv")


@pytest.mark.parametrize("log", LAYOUTS)
def test_the_genres_of_a_film_are_a_list(tmp_path: Path, log: str) -> None:
    films = open_source(put(tmp_path, LAYOUTS[log]) / log).side["items"].table()
    genres = films["genre" if log == "films.inter" else "genres"].to_pylist()
    assert genres[:2] == [["Comedy", "Romance"], ["Crime"]] if log != "u.data" else genres[0] == ["Comedy", "Romance"]


def test_a_film_without_a_genre_has_none(tmp_path: Path) -> None:
    films = open_source(put(tmp_path, DAT) / "ratings.dat").side["items"].table()
    assert films["genres"].to_pylist()[2] is None
    first = b"1|Unknown||||1" + b"|0" * 18 + b"\n"
    table = open_source(put(tmp_path, U_DATA | {"u.item": first}) / "u.data").side["items"].table()
    assert table["genres"].to_pylist() == [None]


def test_an_atomic_file_knows_the_kinds_of_its_columns(tmp_path: Path) -> None:
    side = open_source(put(tmp_path, ATOMIC) / "films.inter").side["items"]
    assert side.kinds == {"item_id": "token", "genre": "token_seq", "vector": "float_seq"}
    assert side.table()["vector"].to_pylist() == [[0.5, 1.0], [1.0, 2.0]]
    assert side.table()["title"].to_pylist() == ['The "Big" Amélie', "Heat"]
    assert side.columns({"title": "title"})["title"].to_pylist() == ['The "Big" Amélie', "Heat"]


def test_an_atomic_file_with_a_fault_is_refused(tmp_path: Path) -> None:
    put(tmp_path, ATOMIC | {"films.item": "item_id:token\tvector:float_seq\n10\t0.5 x\n"})
    with pytest.raises(DataError, match="column 'vector' is no sequence of numbers"):
        open_source(tmp_path / "films.inter").side["items"].table()
    path = put(tmp_path, {"log.inter": "user_id:token\titem_id:tokens\n1\t2\n"}) / "log.inter"
    with pytest.raises(DataError, match="the header holds 'item_id:tokens'; in an atomic file each name is followed"):
        read_interactions(path)


def test_a_broken_table_of_films_does_not_stand_in_the_way_of_the_log(tmp_path: Path) -> None:
    put(tmp_path, DAT | {"movies.dat": "10::Heat\n20\n"})
    log = read_interactions(tmp_path / "ratings.dat")
    assert log.n_rows == 3
    assert log.item_features is None
    assert any(note.startswith("what is known of items was not read: ") for note in log.notes)


def test_files_of_a_layouts_name_that_are_laid_out_in_another_way_are_read_as_they_are(tmp_path: Path) -> None:
    put(tmp_path, {"ratings.dat": "user,item\n1,2\n2,3\n", "ratings.csv": "user,item\n1,2\n2,3\n"})
    put(tmp_path, {"u.data": "user,item\n1,2\n2,3\n", "movies.csv": "what,else\n1,2\n"})
    for name in ("ratings.dat", "ratings.csv", "u.data"):
        log = read_interactions(tmp_path / name)
        assert (log.n_rows, log.item_features) == (2, None)


def test_of_several_tables_the_one_with_users_and_items_is_the_log(tmp_path: Path) -> None:
    put(tmp_path / "books", {"BX-Books.csv": "ISBN;Book-Title\n1;Emma\n", "BX-Users.csv": "User-ID;Age\n1;30\n"})
    put(tmp_path / "books", {"BX-Book-Ratings.csv": "User-ID;ISBN;Book-Rating\n1;1;5\n2;2;4\n"})
    log = read_interactions(tmp_path / "books")
    assert log.n_rows == 2
    assert "read from BX-Book-Ratings.csv" in log.notes
    log = read_interactions(zipped(tmp_path / "books", tmp_path / "books.zip"))
    assert log.source.endswith("books.zip!inside/BX-Book-Ratings.csv")


def test_a_folder_with_a_layout_and_another_log_is_refused_with_both(tmp_path: Path) -> None:
    put(tmp_path, U_DATA | ATOMIC)
    with pytest.raises(DataError, match=r"2 logs in it, films.inter, u.data\. Give one of the files"):
        read_interactions(tmp_path)


def test_what_is_checked_early_is_the_file_or_the_archive(tmp_path: Path) -> None:
    folder = put(tmp_path / "films", DAT)
    archive = zipped(folder, tmp_path / "all.zip")
    assert check_file(f"{archive}!inside/ratings.dat") == archive
    assert check_file(str(folder)) == folder
    assert check_file(folder / "ratings.dat") == folder / "ratings.dat"
    for wrong, message in {
        f"{archive}!inside/else.dat": "no member 'inside/else.dat'; it holds inside/movies.dat",
        tmp_path / "none.csv": "no such file",
        f"{tmp_path / 'none.zip'}!x.csv": "no such file",
    }.items():
        with pytest.raises(DataError, match=message):
            check_file(wrong)
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("notes.pdf", "x")
    with pytest.raises(DataError, match=r"no reader for the member 'notes.pdf'; known are .csv"):
        read_interactions(f"{archive}!notes.pdf")


@pytest.mark.real_log
@pytest.mark.skipif(not REAL.is_dir(), reason="the real logs are not beside the checkout")
@pytest.mark.parametrize(
    ("name", "users", "items", "rows", "title"),
    [
        ("ml-1m.zip", 6040, 3706, 1_000_209, "Toy Story (1995)"),
        ("ml-latest-small.zip", 610, 9724, 100_836, "Toy Story (1995)"),
        ("ml-100k/u.data", 943, 1682, 100_000, None),
        ("ml-100k/ml-100k.inter", 943, 1682, 100_000, "Toy Story"),
    ],
)
def test_the_public_archives_need_nothing_but_their_path(
    name: str, users: int, items: int, rows: int, title: str | None
) -> None:
    log = read_interactions(REAL / name)
    assert (log.n_users, log.n_items, log.n_rows) == (users, items, rows)
    assert (log.item_features is None) == (title is None)
    assert title is None or log.item_features.titles(log.items)[0] == title
