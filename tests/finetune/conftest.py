"""The default weights, and a tiny model with the same tokenizer."""

import pytest

from tests.finetune.tiny import make_base


@pytest.fixture(scope="session")
def base(weights):
    """The folder of the default base weights."""
    from esc_demo.models.local.folders import DEFAULT_BASE, base_folder

    return base_folder(DEFAULT_BASE)


@pytest.fixture(scope="session")
def tokenizer(base):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base)


@pytest.fixture(scope="session")
def tiny_base(base, tmp_path_factory):
    """A random Llama of two small layers with the default model's tokenizer."""
    return make_base(tmp_path_factory.mktemp("tiny-base"), base)


@pytest.fixture(scope="session")
def heldout():
    from esc_demo.settings import PROJECT_ROOT
    from finetune.data import load

    return load(PROJECT_ROOT / "finetune" / "corpus" / "heldout.json").dialogues
