"""The data sets that can be had by name: addresses, checksums, licences, and what their publishers say of them.

What could not be told for certain is left out: a count that is not published is None, a checksum that several
independent sources do not agree on is not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from recdistill.registry import Registry

GROUPLENS = "files.grouplens.org/datasets"
SNAP = "https://snap.stanford.edu/data"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """One published file, and how to know it again."""

    name: str
    title: str
    file: str
    """What the file is called, at the publisher's and here."""
    mirrors: tuple[str, ...]
    """Addresses of the file, tried in this order. Plain http stands only where the SHA-256 is known."""
    terms: str
    """The licence in a few words, for a table."""
    licence: str
    """The same in a sentence; the text itself is at `licence_url`."""
    licence_url: str
    citation: str
    bytes: int | None = None
    sha256: str | None = None
    """None: not known beforehand. The first whole download is then recorded, and held to ever after."""
    md5_beside: bool = False
    """The publisher keeps FILE.md5 beside the file; it is fetched from the same mirror and checked."""
    changes: bool = False
    """The publisher puts newer content under the same name from time to time."""
    users: int | None = None
    items: int | None = None
    """Those that occur in the log; a publisher's list of items is often longer."""
    rows: int | None = None
    holds: tuple[str, ...] = ()
    """Members that a zip must hold, in whatever folder; empty where the file is the log itself."""
    also: tuple[str, ...] = ()
    """Members that it may hold besides; of a folder that is brought, other files are left where they are."""
    log: str = ""
    """The member of the zip that is the log, where the reader could not tell."""
    fields: int | None = None
    """Columns of a file that is the log itself."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """What `read_interactions` is told of a log whose columns have no names, or unusual ones."""

    @property
    def zipped(self) -> bool:
        return self.file.endswith(".zip")


_MOVIELENS = (
    "F. M. Harper, J. A. Konstan. The MovieLens Datasets: History and Context. "
    "ACM Transactions on Interactive Intelligent Systems 5(4), 2015. https://doi.org/10.1145/2827872"
)
_NOT_PASSED_ON = (
    "Research use with acknowledgement; no commercial use and no passing on without GroupLens' permission, "
    "no suggestion of their endorsement."
)
_PASSED_ON = (
    "Research use with acknowledgement; may be passed on under the same terms, no commercial use without GroupLens' "
    "permission, no suggestion of their endorsement."
)
_TERMS, _OPEN_TERMS = "research; not to be passed on", "research; may be passed on under the same terms"
_CSV = ("ratings.csv", "movies.csv")
_DAT = ("ratings.dat", "movies.dat")
_BESIDE = (
    "README README.txt README.html users.dat tags.dat tags.csv links.csv genome-scores.csv genome-tags.csv "
    "u.item u.user u.genre u.occupation u.info"
)


def _movielens(name: str, title: str, counts: tuple[int, int, int], **rest: object) -> DataSet:
    """GroupLens' own address; the same over plain http where a known SHA-256 makes up for what TLS would prove."""
    path = f"{GROUPLENS}/movielens/{name}.zip"
    settings: dict[str, object] = {
        "mirrors": tuple(f"{scheme}://{path}" for scheme in ("https", "http")[: 2 if rest.get("sha256") else 1]),
        "terms": _TERMS,
        "licence": _NOT_PASSED_ON,
        "licence_url": f"https://{GROUPLENS}/movielens/{name}-README.html",
        "md5_beside": True,
        "holds": _CSV,
        "also": tuple(_BESIDE.split()),
        "citation": _MOVIELENS,
    } | rest
    users, items, rows = counts
    return DataSet(name=name, title=title, file=f"{name}.zip", users=users, items=items, rows=rows, **settings)  # type: ignore[arg-type]


def _amazon(name: str, what: str, category: str, rows: int) -> DataSet:
    """One category of McAuley's 2014 crawl, ratings alone: user,item,rating,timestamp, no header."""
    file = f"ratings_{category}.csv"
    return DataSet(
        name=name,
        title=f"Amazon reviews 2014: {what}, ratings alone",
        file=file,
        mirrors=(f"{SNAP}/amazon/productGraph/categoryFiles/{file}",),
        terms="none stated; cite the papers",
        licence="The publisher states no licence; it asks that the papers be cited.",
        licence_url="https://cseweb.ucsd.edu/~jmcauley/datasets/amazon/links.html",
        citation=(
            "R. He, J. McAuley. Ups and Downs: Modeling the Visual Evolution of Fashion Trends with One-Class "
            "Collaborative Filtering. WWW 2016. J. McAuley, C. Targett, Q. Shi, A. van den Hengel. Image-Based "
            "Recommendations on Styles and Substitutes. SIGIR 2015."
        ),
        rows=rows,
        fields=4,
        columns={"user_id": "column_1", "item_id": "column_2", "rating": "column_3", "timestamp": "column_4"},
    )


CATALOGUE: Registry[DataSet] = Registry("data set")
for _entry in (
    _movielens(
        "ml-100k",
        "MovieLens 100K, 1998",
        (943, 1_682, 100_000),
        bytes=4_924_029,
        sha256="50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
        licence_url=f"https://{GROUPLENS}/movielens/ml-100k-README.txt",
        holds=("u.data",),
    ),
    _movielens(
        "ml-1m",
        "MovieLens 1M, 2003",
        (6_040, 3_706, 1_000_209),
        bytes=5_917_549,
        sha256="a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
        licence_url=f"https://{GROUPLENS}/movielens/ml-1m-README.txt",
        holds=_DAT,
    ),
    _movielens(
        "ml-10m",
        "MovieLens 10M, 2009",
        (69_878, 10_677, 10_000_054),
        bytes=65_566_137,
        sha256="813c411ccb6122564edfe752e7f80c4dcc5aa25fa94c93622f6877a7ba252862",
        holds=_DAT,
    ),
    _movielens(
        "ml-20m",
        "MovieLens 20M, 2015",
        (138_493, 26_744, 20_000_263),
        bytes=198_702_078,
        sha256="96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
    ),
    _movielens(
        "ml-25m",
        "MovieLens 25M, 2019",
        (162_541, 59_047, 25_000_095),
        bytes=261_978_986,
        sha256="8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa",
    ),
    _movielens(
        "ml-32m",
        "MovieLens 32M, 2023",
        (200_948, 84_432, 32_000_204),
        terms=_OPEN_TERMS,
        licence=_PASSED_ON,
        bytes=238_950_008,
        sha256="e4a68655d7386b8f95f2f2424b2ff975dfdd15ffd59e0d864a14dca43e99d6ee",
    ),
    _movielens(
        "ml-latest-small",
        "MovieLens, small, as of 2018",
        (610, 9_724, 100_836),
        terms=_OPEN_TERMS,
        licence=_PASSED_ON,
        bytes=978_202,
        sha256="696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
    ),
    _movielens(
        "ml-latest",
        "MovieLens, all, renewed from time to time (counts of July 2023)",
        (330_975, 83_239, 33_832_162),
        terms=_OPEN_TERMS,
        licence=_PASSED_ON,
        changes=True,
    ),
    DataSet(
        name="hetrec2011-lastfm-2k",
        title="Last.fm listening counts, HetRec 2011",
        file="hetrec2011-lastfm-2k.zip",
        mirrors=tuple(f"{scheme}://{GROUPLENS}/hetrec2011/hetrec2011-lastfm-2k.zip" for scheme in ("https", "http")),
        sha256="6738f48195667ff03caaab4d32ca9a3133d8cc026b7c3cdaf6ce1010e913c59c",
        terms="non-commercial",
        licence="Non-commercial use, by permission of Last.fm; publications cite the workshop.",
        licence_url=f"https://{GROUPLENS}/hetrec2011/hetrec2011-lastfm-readme.txt",
        citation=(
            "I. Cantador, P. Brusilovsky, T. Kuflik. 2nd Workshop on Information Heterogeneity and Fusion in "
            "Recommender Systems (HetRec 2011). RecSys 2011."
        ),
        users=1_892,
        items=17_632,
        rows=92_834,
        holds=("user_artists.dat",),
        also=(
            "artists.dat",
            "tags.dat",
            "user_taggedartists.dat",
            "user_taggedartists-timestamps.dat",
            "user_friends.dat",
            "readme.txt",
        ),
        log="user_artists.dat",
        columns={"user_id": "userID", "item_id": "artistID", "rating": "weight"},
    ),
    _amazon("amazon-2014-books", "books", "Books", 22_507_155),
    _amazon("amazon-2014-electronics", "electronics", "Electronics", 7_824_482),
    _amazon("amazon-2014-movies-tv", "films and television", "Movies_and_TV", 4_607_047),
    _amazon("amazon-2014-cds-vinyl", "CDs and vinyl", "CDs_and_Vinyl", 3_749_004),
    _amazon("amazon-2014-sports", "sports and outdoors", "Sports_and_Outdoors", 3_268_695),
    _amazon("amazon-2014-toys", "toys and games", "Toys_and_Games", 2_252_771),
    _amazon("amazon-2014-beauty", "beauty", "Beauty", 2_023_070),
    _amazon("amazon-2014-video-games", "video games", "Video_Games", 1_324_753),
    DataSet(
        name="gowalla",
        title="Gowalla check-ins, 2009 to 2010",
        file="loc-gowalla_totalCheckins.txt.gz",
        mirrors=(f"{SNAP}/loc-gowalla_totalCheckins.txt.gz",),
        terms="none stated; cite the paper",
        licence="The publisher (Stanford's SNAP) states no licence; it asks that the paper be cited.",
        licence_url=f"{SNAP}/loc-gowalla.html",
        citation=(
            "E. Cho, S. A. Myers, J. Leskovec. Friendship and Mobility: User Movement in Location-Based Social "
            "Networks. KDD 2011."
        ),
        rows=6_442_890,
        fields=5,
        columns={"user_id": "column_1", "item_id": "column_5", "timestamp": "column_2"},
    ),
):
    CATALOGUE.register(_entry.name, _entry)
