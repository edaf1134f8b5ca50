"""How a matrix of vectors is held in memory and on disk: floats, integers, packed bits, codebooks.

A codec turns a matrix into named arrays and decodes chosen rows of them; nothing else in the package knows the layout.
"""

from recdistill.tables.codecs.base import Arrays, Codec, Layout, half
from recdistill.tables.codecs.registry import CODECS
from recdistill.tables.codecs.table import DECODED_BYTES, TILE_BYTES, CodedTable, encode
from recdistill.tables.codecs.vector import CodedVector, Vector

__all__ = [
    "CODECS",
    "DECODED_BYTES",
    "TILE_BYTES",
    "Arrays",
    "Codec",
    "CodedTable",
    "CodedVector",
    "Layout",
    "Vector",
    "encode",
    "half",
]
