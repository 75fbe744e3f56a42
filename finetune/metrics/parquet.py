"""The first column of a small Parquet file, where it holds texts.

GloVe's packaged vocabulary is such a file. It is read once, so a reader for just this layout
(PLAIN and dictionary pages, Snappy, no nulls) is enough, and the 45 MB of a Parquet library are
not. Format: https://parquet.apache.org/docs/file-format/ and Snappy's format_description.txt.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from esc_demo.errors import AssetError

_MAGIC = b"PAR1"
_DICTIONARY_PAGE, _DATA_PAGE = 2, 0
_PLAIN = 0


def read_texts(path: Path, count: int) -> list[str]:
    """The first `count` texts of the file's first column.

    Raises:
        AssetError: another layout than the one described above.
    """
    data = path.read_bytes()
    try:
        if data[:4] != _MAGIC:
            raise ValueError("no Parquet file")
        return _column(data, count)
    except (ValueError, IndexError, KeyError) as error:
        raise AssetError(
            f"{path} cannot be read ({error}). Delete its folder and fetch it again."
        ) from error


def _column(data: bytes, count: int) -> list[str]:
    """Read pages from the start of the file until there are enough texts."""
    texts: list[str] = []
    dictionary: list[str] = []
    at = len(_MAGIC)
    while len(texts) < count:
        header, at = _struct(data, at)
        page = _unsnappy(data[at : at + header[3]])
        at += header[3]
        if header[1] == _DICTIONARY_PAGE:
            dictionary = _plain(page, 0, header[7][1])
        elif header[1] == _DATA_PAGE:
            values, encoding = header[5][1], header[5][2]
            start = 4 + int.from_bytes(page[:4], "little")  # past the definition levels
            if encoding == _PLAIN:
                texts += _plain(page, start, values)
            else:
                texts += [dictionary[number] for number in _indices(page, start, values)]
        else:
            raise ValueError(f"page of type {header[1]}")
    return texts[:count]


def _plain(page: bytes, at: int, count: int) -> list[str]:
    """Texts, each after its length in four bytes."""
    texts: list[str] = []
    for _ in range(count):
        size = int.from_bytes(page[at : at + 4], "little")
        texts.append(page[at + 4 : at + 4 + size].decode("utf-8"))
        at += 4 + size
    return texts


def _indices(page: bytes, at: int, count: int) -> list[int]:
    """Numbers in Parquet's mix of runs and packed groups of eight."""
    width = page[at]
    at += 1
    size = (width + 7) // 8
    found: list[int] = []
    while len(found) < count:
        head, at = _varint(page, at)
        if head & 1:
            mask = (1 << width) - 1
            # Group by group: shifting one long integer would take quadratic time.
            for group in range(head >> 1):
                start = at + group * width
                packed = int.from_bytes(page[start : start + width], "little")
                found += [(packed >> (width * i)) & mask for i in range(8)]
            at += (head >> 1) * width
        else:
            found += [int.from_bytes(page[at : at + size], "little")] * (head >> 1)
            at += size
    return found[:count]


def _struct(data: bytes, at: int) -> tuple[dict[int, Any], int]:
    """A struct of Thrift's compact protocol by field number; texts are left out."""
    fields: dict[int, Any] = {}
    number = 0
    while head := data[at]:
        at += 1
        kind = head & 15
        if head >> 4:
            number += head >> 4
        else:
            raw, at = _varint(data, at)
            number = _signed(raw)
        if kind in (1, 2):  # true, false
            fields[number] = 2 - kind
        elif kind in (4, 5, 6):
            raw, at = _varint(data, at)
            fields[number] = _signed(raw)
        elif kind == 8:
            size, at = _varint(data, at)
            at += size
        elif kind == 12:
            inner, at = _struct(data, at)
            fields[number] = inner
        else:
            raise ValueError(f"field of kind {kind}")
    return fields, at + 1


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def _signed(value: int) -> int:
    """Undo zigzag."""
    return (value >> 1) ^ -(value & 1)


def _unsnappy(data: bytes) -> bytes:
    """Decompress one Snappy block."""
    size, at = _varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        kind = tag & 3
        if kind == 0:
            length = (tag >> 2) + 1
            if length > 60:
                extra = length - 60
                length = int.from_bytes(data[at : at + extra], "little") + 1
                at += extra
            out += data[at : at + length]
            at += length
            continue
        if kind == 1:
            length, back = ((tag >> 2) & 7) + 4, ((tag >> 5) << 8) | data[at]
            at += 1
        else:
            width = 2 if kind == 2 else 4
            length, back = (tag >> 2) + 1, int.from_bytes(data[at : at + width], "little")
            at += width
        start = len(out) - back
        if start < 0 or not back:
            raise ValueError("a copy from before the start")
        if back >= length:
            out += out[start : start + length]
        else:  # the copy overlaps what it writes
            piece = bytes(out[start:])
            out += (piece * (length // back + 1))[:length]
    if len(out) != size:
        raise ValueError(f"{len(out)} bytes instead of {size}")
    return bytes(out)
