"""Pairs with the words of the project's corpus, and language data where it is installed."""

import pytest

from esc_demo.settings import PROJECT_ROOT, get_settings

ESCONV = PROJECT_ROOT.parent / "shared" / "data" / "esconv"


@pytest.fixture(scope="session")
def pairs():
    """320 pairs of 40 dialogues; some share sentences, some are odd."""
    from finetune.metrics.bench import make_bench_pairs
    from finetune.metrics.pairs import Pair

    odd = [
        ("", "Say more?"),
        ("   ", "Nothing was said."),
        ("I hear you.", "I hear you."),
        ("ok", "fine"),
        ("a a a a a", "a a"),
        ("She said \"no\" (twice)... I can't, I'm gonna... $5,000; 3:30!", "She can't; I cannot."),
        ("'Tis what it is -- d'ye see?", "It's what it is.\nD'ye see?"),
        ("Naïve café…  ☕ déjà vu", "café ☕"),
    ]
    made = [Pair(mine, theirs, f"odd {i // 2}") for i, (mine, theirs) in enumerate(odd)]
    return (*make_bench_pairs(320 - len(made), seed=1), *made)


@pytest.fixture(scope="session")
def resources(_isolated_environment):
    """What is installed."""
    from finetune.metrics.resources import find_resources

    get_settings.cache_clear()
    return find_resources(get_settings())


@pytest.fixture(scope="session")
def wordnet(resources):
    from finetune.metrics.resources import Missing, load_meteor

    if isinstance(resources.wordnet, Missing):
        pytest.skip(str(resources.wordnet))
    return load_meteor(resources.wordnet).wordnet


@pytest.fixture(scope="session")
def bare():
    """No WordNet and no GloVe."""
    from finetune.metrics.resources import Missing, Resources

    return Resources(Missing("WordNet", "get WordNet"), Missing("GloVe", "get GloVe"))


@pytest.fixture(scope="session")
def little_glove():
    """Vectors of a few words, made by hand."""
    import numpy as np

    from finetune.metrics.embeddings import WordVectors

    rows = {"good": [1.0, -3.0], "bad": [-2.0, 1.0], "day": [0.5, 0.5]}
    index = {word: row for row, word in enumerate(rows)}
    return WordVectors("made by hand", index, np.array(list(rows.values()), np.float32))


@pytest.fixture(scope="session")
def esconv():
    if not (ESCONV / "test.jsonl").exists():
        pytest.skip(f"ESConv is not in {ESCONV}; it may not be shipped with this project")
    return ESCONV
