"""A base and a recipe so small that a real run takes seconds."""

import json

import yaml

from esc_demo.settings import PROJECT_ROOT
from finetune.recipes import load_recipe
from finetune.runs import RunFolder


def make_base(folder, tokenizer_folder):
    """A random two-layer Llama with the tokenizer of the default base."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_recipe(folder, base, *, method="lora", steps=8, dialogues=6):
    """A recipe file over the first turns of a few of the project's dialogues."""
    corpus = json.loads((PROJECT_ROOT / "finetune/corpus/train.json").read_text("utf-8"))
    short = [{**dialogue, "content": dialogue["content"][:4]} for dialogue in corpus]
    parts = {"train": short[2 : 2 + dialogues], "heldout": short[:1], "validation": short[1:2]}
    for name, part in parts.items():
        (folder / f"{name}.json").write_text(json.dumps(part), "utf-8")
    recipe = {
        "name": f"tiny-{method}",
        "base": str(base),
        "method": method,
        "data": {name: str(folder / f"{name}.json") for name in parts},
        "prompt": False,
        "max_tokens": 256,
        "pack_tokens": 256,
        "learning_rate": 0.01,
        "epochs": 1,
        "max_steps": steps,
    }
    if method == "lora":
        recipe["lora"] = {"r": 4, "alpha": 8, "target_modules": ["q_proj", "v_proj"]}
    path = folder / f"tiny-{method}.yaml"
    path.write_text(yaml.safe_dump(recipe), "utf-8")
    return path


def tiny(tmp_path, tiny_base, method="lora", steps=6, **changes):
    """A recipe on the tiny base, with changes."""
    recipe = load_recipe(str(make_recipe(tmp_path, tiny_base, method=method, steps=steps)))
    return recipe.model_copy(update=changes)


def losses(folder):
    """The training losses that a run has logged."""
    return [step.loss for step in RunFolder(folder).steps() if step.loss is not None]


def train_quietly(recipe, folder, **options):
    """Train in this process."""
    from finetune.train import train

    return train(recipe, folder, quiet=True, **options)
