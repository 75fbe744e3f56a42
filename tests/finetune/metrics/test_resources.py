"""Finding WordNet and GloVe, saying how to get them, and reading GloVe's vocabulary."""

import pytest

from esc_demo.assets import load_assets
from esc_demo.assets.catalogue import ON_REQUEST, AssetKind
from esc_demo.errors import AssetError
from finetune.metrics.parquet import read_texts
from finetune.metrics.resources import Missing, find_resources, load_glove


def test_what_is_missing_comes_with_its_command(settings, tmp_path, monkeypatch):
    import nltk

    monkeypatch.setattr(nltk.data, "path", [])
    found = find_resources(settings, debian=tmp_path)
    assert isinstance(found.wordnet, Missing) and "apt-get install" in str(found.wordnet)
    assert isinstance(found.glove, Missing) and "--fetch-glove" in str(found.glove)
    assert found.versions == {}


def test_glove_is_no_part_of_the_set_up():
    (glove,) = load_assets(ON_REQUEST)
    assert glove.kind is AssetKind.VECTORS
    assert glove not in load_assets()
    assert "--fetch-glove" in glove.command


def test_glove_is_read_as_it_was_published(resources):
    if isinstance(resources.glove, Missing):
        pytest.skip(str(resources.glove))
    glove = load_glove(resources.glove)
    assert glove.vectors.shape == (400_000, 50) and len(glove.index) == 400_000
    # The first line of glove.6B.50d.txt.
    assert glove.of(["the"])[0, :4].tolist() == pytest.approx([0.418, 0.24968, -0.41242, 0.1217])
    assert not len(glove.of(["I", "you."]))
    assert len(glove.of(["i", "you"])) == 2


def snappy(data):
    """An uncompressed Snappy block; long literals have their length in two bytes."""
    head, size = b"", len(data)
    while size >= 128:
        head, size = head + bytes([size & 127 | 128]), size >> 7
    return head + bytes([size, 61 << 2]) + (len(data) - 1).to_bytes(2, "little") + data


def number(value):
    """A zigzag varint below 8192."""
    value <<= 1
    return bytes([value]) if value < 128 else bytes([value & 127 | 128, value >> 7])


def page(kind, values, encoding, body):
    """A page with the header that Parquet has for it."""
    packed = snappy(body)
    field = b"\x4c" if kind == 2 else b"\x2c"  # field 7 (dictionary) or 5 (data) after 3
    inner = b"\x15" + number(values) + b"\x15" + number(encoding) + b"\x00"
    sizes = b"\x15" + number(len(body)) + b"\x15" + number(len(packed))
    return b"\x15" + number(kind) + sizes + field + inner + b"\x00" + packed


def texts(*words):
    return b"".join(len(word).to_bytes(4, "little") + word for word in words)


def test_dictionary_and_plain_pages(tmp_path):
    levels = b"\x02\x00\x00\x00\x0a\x01"  # nothing is null
    numbers = bytes([2, 3, 0b11100100, 0, 4, 1])  # packed 0 1 2 3 0 0 0 0, then twice 1
    path = tmp_path / "x.parquet"
    path.write_bytes(
        b"PAR1"
        + page(2, 4, 0, texts(b"the", b"of", "caf\u00e9".encode(), b"to"))
        + page(0, 10, 8, levels + numbers)
        + page(0, 2, 0, levels + texts(b"x" * 200, b""))
    )
    first = ["the", "of", "caf\u00e9", "to", "the", "the", "the", "the", "of", "of"]
    assert read_texts(path, 12) == [*first, "x" * 200, ""]
    with pytest.raises(AssetError, match="cannot be read"):
        read_texts(path, 13)


def test_snappy_copies():
    from finetune.metrics.parquet import _unsnappy

    # "ab", then 8 bytes from 2 back (overlapping), then 4 from 10 back with a two-byte offset.
    block = bytes([14, 1 << 2]) + b"ab" + bytes([(8 - 4) << 2 | 1, 2, (4 - 1) << 2 | 2, 10, 0])
    assert _unsnappy(block) == b"ab" * 5 + b"abab"
    with pytest.raises(ValueError, match="before the start"):
        _unsnappy(bytes([4, 1, 9]))


def test_no_parquet_file(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(AssetError, match="no Parquet file"):
        read_texts(path, 1)
