"""WordNet and GloVe: where they are, or how to get them.

Neither is needed to install or to start: a metric that lacks its data is reported unavailable
with the command that fetches it, and all others are still computed.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from esc_demo.assets import ensure_assets, load_assets, read_manifest
from esc_demo.assets.catalogue import ON_REQUEST
from esc_demo.errors import AssetError
from esc_demo.settings import Settings
from finetune.metrics.embeddings import WordVectors
from finetune.metrics.meteor import Meteor
from finetune.metrics.parquet import read_texts

DEBIAN_WORDNET = Path("/usr/share/wordnet")
WORDNET_COMMAND = (
    "python -c \"import nltk; nltk.download('wordnet')\", or on Debian and Ubuntu apt-get install"
    " wordnet-base wordnet-sense-index"
)
GLOVE_COMMAND = "python -m finetune score --fetch-glove"

_LEXNAMES = Path(__file__).parent / "lexnames.txt"
"""Numbers of WordNet's lexicographer files, from the manual page lexnames(5WN) of version 3.0.

nltk wants this file and Debian's packages lack it."""
_WORDS = "words.txt"


@dataclass(frozen=True)
class Missing:
    """Language data that is not here."""

    what: str
    command: str

    def __str__(self) -> str:
        """What to tell a person."""
        return f"{self.what} is not installed; get it with: {self.command}"


@dataclass(frozen=True)
class WordNetFound:
    """Where WordNet lies; loading it takes a second, so that is left to who needs it."""

    root: str
    version: str


@dataclass(frozen=True)
class Resources:
    """What there is. Values only, so that it travels to other processes."""

    wordnet: WordNetFound | Missing
    glove: Path | Missing

    @property
    def versions(self) -> dict[str, str]:
        """Versions of what was found."""
        found: dict[str, str] = {}
        if isinstance(self.wordnet, WordNetFound):
            found["wordnet"] = self.wordnet.version
        if isinstance(self.glove, Path):
            found["glove"] = "6B, 50 dimensions"
        return found


def find_resources(settings: Settings, *, debian: Path = DEBIAN_WORDNET) -> Resources:
    """Look for both: WordNet in nltk's data folders, then in Debian's; GloVe in the cache."""
    return Resources(_find_wordnet(debian), _find_glove(settings))


def fetch_glove(settings: Settings) -> Path:
    """Download the vectors (76 MB) unless they are there; returns their folder.

    Raises:
        AssetError: they cannot be downloaded, or are not the pinned ones.
        StorageError: the cache cannot be written.
    """
    assets = load_assets(ON_REQUEST)
    ensure_assets(settings, print, _no_conversion, assets)
    folder = settings.cache_dir / assets[0].folder
    _words(folder)
    return folder


@lru_cache(maxsize=2)
def load_meteor(found: WordNetFound) -> Meteor:
    """METEOR with the WordNet that was found; takes a second the first time."""
    return Meteor(open_wordnet(found))


def open_wordnet(found: WordNetFound) -> Any:
    """A reader of nltk's that has looked nothing up yet."""
    from nltk.corpus.reader.wordnet import WordNetCorpusReader  # noqa: PLC0415 (slow to import)

    class Reader(WordNetCorpusReader):
        """English only, with the file that Debian leaves out."""

        def open(self, file: str) -> Any:
            """A file of WordNet."""
            if file == "lexnames":
                return _LEXNAMES.open(encoding="utf-8")
            return super().open(file)

        def map_wn(self, version: str = "wordnet") -> None:
            """No map to other versions: only other languages need it, and it loads twice."""

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The multilingual functions")
        return Reader(_pointer(found.root), None)


@lru_cache(maxsize=1)
def load_glove(folder: Path) -> WordVectors:
    """The vectors of `folder`, left on the disk until they are looked at."""
    # As a plain array: indexing a memmap costs ten times as much, and both leave it on the disk.
    vectors = np.asarray(np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r"))
    index = {word: row for row, word in enumerate(_words(folder))}
    return WordVectors("glove.6B.50d", index, vectors)


def _find_wordnet(debian: Path) -> WordNetFound | Missing:
    """The first complete WordNet."""
    import nltk  # noqa: PLC0415 (slow to import)

    for name in ("corpora/wordnet", "corpora/wordnet.zip/wordnet/"):
        try:
            root = str(nltk.data.find(name))
        except (LookupError, OSError):
            continue
        if ".zip" in root or (Path(root) / "index.sense").is_file():
            return WordNetFound(name, "3.0 (nltk data)")
    needed = ("index.sense", "index.noun", "data.noun", "noun.exc", "cntlist.rev")
    if all((debian / name).is_file() for name in needed):
        return WordNetFound(str(debian), "3.0 (Debian)")
    return Missing("WordNet", WORDNET_COMMAND)


def _pointer(root: str) -> Any:
    """What nltk's readers take as a root."""
    import nltk  # noqa: PLC0415 (slow to import)

    if root.startswith("corpora/"):
        return nltk.data.find(root)
    if root not in nltk.data.path:  # nltk opens nothing outside the folders of this list
        nltk.data.path.append(root)
    return root


def _find_glove(settings: Settings) -> Path | Missing:
    """The folder in the cache, when it is complete."""
    folder = settings.cache_dir / load_assets(ON_REQUEST)[0].folder
    if read_manifest(folder) is None:
        return Missing("GloVe 6B 50d", GLOVE_COMMAND)
    return folder


def _words(folder: Path) -> list[str]:
    """The vocabulary in the order of the vectors; unpacked beside them the first time."""
    target = folder / _WORDS
    try:
        return target.read_text("utf-8").split("\n")
    except FileNotFoundError:
        count = len(np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r"))
        words = read_texts(folder / "glove_6B_index.parquet", count)
        if any("\n" in word for word in words):
            raise AssetError(f"{folder} holds words with line ends; it is not GloVe.") from None
        partial = target.with_suffix(f".{os.getpid()}")
        partial.write_text("\n".join(words), "utf-8", newline="")
        partial.replace(target)
        return words


def _no_conversion(source: Path, target: Path, progress: object) -> None:
    """Vectors come ready for use."""
    raise AssetError(f"{source} needs no conversion; restore esc_demo/assets/on_request.yaml.")
