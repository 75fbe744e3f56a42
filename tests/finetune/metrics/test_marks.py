"""Best and second among systems, never among baselines."""

from finetune.metrics.layout import to_latex, to_markdown
from finetune.metrics.marks import Mark, marks
from finetune.metrics.profiles import ProfileName
from finetune.metrics.runs import read_runs
from finetune.metrics.tables import Row, make_table
from tests.finetune.metrics.runfiles import write_dialogues, write_run


def row(label, values, kind="run"):
    return Row(label, kind, {}, None, values, {}, {}, {})


def test_ties_are_marked_alike_and_baselines_not_at_all():
    rows = [
        row("a", {"ROUGE-L": 10.001, "Perplexity": 30.0}),
        row("b", {"ROUGE-L": 10.0, "Perplexity": 20.0}),
        row("c", {"ROUGE-L": 9.0}),
        row("d", {"ROUGE-L": 8.0}),
        row("constant", {"ROUGE-L": 15.0}, "baseline"),
    ]
    assert marks(rows, ["ROUGE-L", "Perplexity", "METEOR"]) == {
        (0, "ROUGE-L"): Mark.BEST,
        (1, "ROUGE-L"): Mark.BEST,
        (2, "ROUGE-L"): Mark.SECOND,
        (0, "Perplexity"): Mark.SECOND,
        (1, "Perplexity"): Mark.BEST,
    }
    assert marks(rows[:1], ["ROUGE-L"]) == {}


def test_tables_on_paper_show_them(tmp_path, bare):
    data = write_dialogues(tmp_path / "talks.jsonl")
    good = write_run(tmp_path / "good.jsonl", data, lambda item: item.reference)
    poor = write_run(tmp_path / "poor.jsonl", data, lambda item: "That is all", model="poor")
    table = make_table(
        read_runs([poor, good]), ProfileName.ESCONV, data=data, resources=bare, sliced=False
    )
    assert table.slices == ()
    text, made = to_markdown(table), to_latex(table)
    assert text.count("**100.00 [100.00, 100.00]**") == 3  # BLEU-2, BLEU-4, ROUGE-L
    second = next(line for line in text.splitlines() if line.startswith("| poor "))
    assert len([cell for cell in second.split(" | ") if cell.startswith("*")]) == 3
    assert r"\textbf{100.00 {[}100.00, 100.00]}" in made and r"\underline{" in made
    assert "**" not in text.split("Length, fit and speed")[1].split("\n\n")[1]
