"""The table of several runs: values, differences, baselines, and what each format says."""

import csv
import io
import json
import re

import pytest
from typer.testing import CliRunner

from esc_demo.errors import BadInput
from finetune.metrics.cli import app
from finetune.metrics.layout import TableFormat, latex, render, write_all
from finetune.metrics.profiles import ProfileName
from finetune.metrics.runs import read_runs
from finetune.metrics.tables import make_table
from tests.finetune.metrics.runfiles import write_dialogues, write_run

RIVALS = ["constant sentence", "random reply", "TF-IDF retrieval", "copy of the last turn"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def data(folder):
    return write_dialogues(folder / "talks.jsonl")


@pytest.fixture(scope="module")
def train(folder):
    return write_dialogues(folder / "train.jsonl", count=3, first=100)


def silent(item):
    """Fails once, says nothing once, does not fit once."""
    odd = {
        ("talk-0", 0): {
            "status": "failed",
            "messages": None,
            "dropped_turns": None,
            "prompt_tokens": None,
            "prompt_tokens_raw": None,
        },
        ("talk-1", 2): {"hypothesis": " "},
        ("talk-2", 2): {"hypothesis": "no", "dropped_turns": 2, "prompt_tokens": 10},
    }
    return odd.get(tuple(item.key), "I cannot say 100% & more_so | here")


@pytest.fixture(scope="module")
def runs(folder, data):
    made = [
        write_run(folder / "good.jsonl", data, lambda item: item.reference),
        write_run(folder / "bad.jsonl", data, silent, context="KeyPOS", model="a_b"),
    ]
    (folder / "good.ppl.json").write_text('{"perplexity": 7.5}', "utf-8")
    (folder / "good.g.json").write_text('{"g_score": 80}', "utf-8")
    return read_runs(made)


@pytest.fixture(scope="module")
def table(runs, data, train, bare):
    return make_table(
        runs, ProfileName.ESCONV, data=data, train=train, replicates=200, resources=bare
    )


def test_rows_have_values_intervals_and_reasons(table):
    good, bad = table.rows[:2]
    assert [row.label for row in table.rows[2:]] == RIVALS
    assert good.values["ROUGE-L"] == pytest.approx(100)
    assert good.values["BLEU-2"] == pytest.approx(100)
    assert good.values["Perplexity"] == 7.5 and "NAME.ppl.json" in bad.missing["Perplexity"]
    assert "get WordNet" in good.missing["METEOR"]
    assert {"BERTScore P", "BERTScore R", "BERTScore F1"} <= set(good.missing)
    assert bad.about["statuses"] == {"ok": 11, "failed": 1} and bad.about["empty"] == 2
    ends = bad.intervals["ROUGE-L"]
    assert ends.low <= bad.values["ROUGE-L"] <= ends.high < 100
    assert any("1 failed" in note for note in table.notes)


def test_what_is_measured_beside_the_words(table):
    good, bad = (row.values for row in table.rows[:2])
    assert good["Seconds"] == bad["Seconds"] == 2.0
    assert (good["Fits window"], bad["Fits window"]) == (100, pytest.approx(100 * 10 / 11))
    assert (good["Tokens kept"], good["Prompt tokens"]) == (75, 30)
    assert bad["Tokens kept"] == pytest.approx(100 * (10 * 30 + 10) / (11 * 40))
    # Five utterances of a dialogue: three of the seeker's with 9 tokens, two replies with 11;
    # the system prompt is none.
    assert good["Utterance length"] == pytest.approx((3 * 9 + 2 * 11) / 5)
    assert "neither prompt" in table.rows[2].missing["Utterance length"]


def test_differences_are_to_the_first_row_with_holm_over_the_rows(table):
    good, *others = table.rows
    assert not good.differences
    found = [row.differences["ROUGE-L"] for row in others]
    assert len(found) == 5
    for row, one in zip(others, found, strict=True):
        assert one.value == pytest.approx(row.values["ROUGE-L"] - 100)
        assert one.p <= one.p_holm <= 1
    smallest = min(found, key=lambda one: one.p)
    assert smallest.p_holm == pytest.approx(min(1, 5 * smallest.p))


def test_distinct_n_is_compared_at_equal_counts_only(table):
    bad, constant = table.rows[1:3]
    assert not any(name.startswith("Distinct") for name in bad.differences)
    assert "Distinct-2" in constant.differences
    assert any("10 replies with words against 12" in note for note in table.notes)


def test_all_totals_of_paper_a(runs, data, train, bare, little_glove, wordnet, monkeypatch):
    from finetune.metrics import profiles, resources

    monkeypatch.setattr(profiles, "load_glove", lambda path: little_glove)
    found = resources.Resources(resources._find_wordnet(resources.DEBIAN_WORDNET), data)
    table = make_table(
        runs, ProfileName.NLPCC2025, data=data, train=train, replicates=100, resources=found
    )
    good, bad = table.rows[:2]
    assert good.values["Total"] == pytest.approx(good.values["Total without G"] + 8)
    assert bad.missing["Total"] and "Total without G" in bad.values
    head = render(table, TableFormat.MARKDOWN).splitlines()[2]
    assert head == (
        "| Model | Context | Prompt | ME | B-4 | R-L | Ext | D-2 | D-3 | G-score | Total"
        " | Total w/o G |"
    )


def test_missing_word_data_leaves_the_other_columns(runs, data, train, bare):
    table = make_table(
        runs, ProfileName.NLPCC2025, data=data, train=train, replicates=100, resources=bare
    )
    said = render(table, TableFormat.MARKDOWN)
    assert "get WordNet" in said and "get GloVe" in said
    assert table.rows[0].values["ROUGE-L"] == pytest.approx(100)
    assert "Total without G" in table.rows[0].missing


def test_json_is_complete_and_csv_tidy(table):
    whole = json.loads(render(table, TableFormat.JSON))
    assert {"protocol", "protocol_hash", "profile", "tokenizer", "smoothing", "versions"} <= set(
        whole["header"]
    )
    assert [row["label"] for row in whole["rows"]] == [row.label for row in table.rows]
    first = whole["rows"][1]["metrics"]["ROUGE-L"]
    assert {"value", "low", "high", "difference"} == set(first)
    assert {one["by"] for one in whole["slices"]} == {"scenario", "strategy", "stage"}
    lines = list(csv.DictReader(io.StringIO(render(table, TableFormat.CSV))))
    by = {(line["row"], line["metric"]): line for line in lines}
    assert len(by) == len(lines) == sum(len(row.values) + len(row.missing) for row in table.rows)
    line = by[table.rows[1].label, "ROUGE-L"]
    assert float(line["value"]) == first["value"] and float(line["high"]) == first["high"]
    assert by[table.rows[0].label, "METEOR"]["value"] == ""
    assert "get WordNet" in by[table.rows[0].label, "METEOR"]["reason"]


def test_markdown_and_latex_have_the_papers_columns(table):
    text = render(table, TableFormat.MARKDOWN)
    assert "| PPL | B-2 | B-4 | R-L | METEOR | Bert P | Bert R | Bert F1 |" in text
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block
    made = render(table, TableFormat.LATEX)
    body = "\n".join(line for line in made.splitlines() if not line.startswith("%"))
    assert r"a\_b" in body and not re.search(r"(?<!\\)[%#_]", body)
    assert body.count(r"\toprule") == body.count(r"\begin{tabular}") == body.count(r"\bottomrule")
    specs = re.findall(r"\\begin\{tabular\}\{([lr]+)\}\n\\toprule\n(.*)", body)
    assert specs and all(heads.count("&") + 1 == len(spec) for spec, heads in specs)
    assert latex("50% a_b {x} \\ ~") == (r"50\% a\_b \{x\} \textbackslash{} \textasciitilde{}")
    assert latex("[x] *") == "{[}x] {*}"


def test_all_formats_are_written(table, tmp_path):
    paths = write_all(table, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == [
        "table.json",
        "table.csv",
        "slices.csv",
        "table.md",
        "table.tex",
    ]
    lines = list(csv.DictReader(io.StringIO(paths[2].read_text("utf-8"))))
    assert {line["slice"] for line in lines if line["by"] == "scenario"} == {"work", "sleep"}


def test_without_the_dialogues_two_baselines_say_what_they_need(runs, train, data, bare):
    table = make_table(runs, ProfileName.ESCONV, train=train, replicates=100, resources=bare)
    there = {row.label: row for row in table.rows[2:]}
    assert list(there) == RIVALS
    assert "--data" in there["copy of the last turn"].missing["all"]
    full = make_table(
        runs, ProfileName.ESCONV, data=data, train=train, replicates=100, resources=bare
    )
    same = {row.label: row for row in full.rows[2:]}
    for name in RIVALS[:2]:
        assert there[name].values == same[name].values
    assert "--data" in render(table, TableFormat.MARKDOWN)


def test_other_data_and_training_on_the_test_part_are_refused(runs, data, train, bare):
    with pytest.raises(BadInput, match="not what"):
        make_table(runs, ProfileName.ESCONV, data=train, train=train, resources=bare)
    with pytest.raises(BadInput, match="--train"):
        make_table(runs, ProfileName.ESCONV, data=data, train=data, resources=bare)


def test_one_dialogue_has_no_intervals(tmp_path, train, bare):
    data = write_dialogues(tmp_path / "one.jsonl", count=1)
    run = write_run(tmp_path / "a.jsonl", data, lambda item: "yes", seconds=False)
    table = make_table(read_runs([run]), ProfileName.ESCONV, data=data, train=train, resources=bare)
    assert not table.rows[0].intervals and any("two or more" in note for note in table.notes)
    assert "timings" in table.rows[0].missing["Seconds"]
    assert json.loads(render(table, TableFormat.JSON))["rows"][0]["metrics"]["ROUGE-L"]


def test_the_command(runs, data, train, tmp_path):
    files = [str(run.path) for run in runs]
    options = ["--data", str(data), "--train", str(train), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, ["score", *files, *options, "--format", "latex"])
    assert result.exit_code == 0, result.output
    assert result.stdout == (tmp_path / "out" / "table.tex").read_text("utf-8")
    wrong = CliRunner().invoke(app, ["score", *files, "--format", "word"])
    assert isinstance(wrong.exception, BadInput) and "latex" in str(wrong.exception)
    both = CliRunner().invoke(app, ["score", *files, "--pairs", files[0]])
    assert both.exit_code == 2
