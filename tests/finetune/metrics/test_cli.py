"""`score` from the command line, the totals of paper A, and the benchmark."""

import json

import pytest
from typer.testing import CliRunner

from esc_demo.errors import BadInput
from finetune.metrics.cli import app, score_text
from finetune.metrics.total import check_paper_a

LINE = '{"hypothesis": "that is hard", "reference": "that sounds hard", "dialogue": "%d"}\n'


@pytest.fixture
def pair_file(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(LINE % (number // 2) for number in range(6)) + "{oops\n", "utf-8")
    return path


def test_selftest_recomputes_the_totals_of_paper_a():
    rows = check_paper_a()
    assert len(rows) == 7
    assert max(abs(row.printed - row.computed) for row in rows) < 0.0065
    result = CliRunner().invoke(app, ["score", "--selftest"])
    assert result.exit_code == 0
    assert "7 totals, all agree" in result.output


def test_a_wrong_total_fails_the_selftest(monkeypatch):
    from finetune.metrics import total

    monkeypatch.setitem(total.WEIGHTS, "METEOR", 0.3)
    result = CliRunner().invoke(app, ["score", "--selftest"])
    assert result.exit_code == 1
    assert "7 differ" in result.output


@pytest.mark.parametrize("profile", ["nlpcc2025", "esconv"])
def test_json_has_every_metric_at_full_precision(pair_file, profile):
    result = CliRunner().invoke(
        app, ["score", "--pairs", str(pair_file), "--profile", profile, "--json"]
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    header = found["header"]
    assert (header["profile"], header["pairs"], header["dialogues"]) == (profile, 6, 3)
    assert header["skipped_lines"] == 1 and found["skipped"][0]["line"] == 7
    assert {"nltk", "rouge-score", "sacrebleu"} <= set(header["versions"])
    assert all(header[key] for key in ("tokenizer", "smoothing", "case"))
    rouge = found["metrics"]["ROUGE-L"]
    assert rouge["value"] == pytest.approx(100 * 2 / 3, abs=1e-9)
    assert rouge["low"] <= rouge["value"] + 1e-9
    for name, metric in found["metrics"].items():
        assert metric["value"] is not None or metric["reason"], name
    assert {"METEOR", "BLEU-4"} <= set(found["metrics"])
    assert any("sacrebleu" in one["name"] for one in found["cross_checks"])


def test_text_says_what_is_missing_and_what_was_skipped(pair_file):
    text = score_text(pair_file, "esconv")
    assert "line 7 skipped" in text
    assert "BERTScore f1" in text and "Perplexity" in text
    with pytest.raises(BadInput, match="line 7"):
        score_text(pair_file, "esconv", strict=True)
    with pytest.raises(BadInput, match="nlpcc2025 or esconv"):
        score_text(pair_file, "bleu")


def test_one_dialogue_is_scored_without_intervals(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(LINE % 1 + LINE % 1, "utf-8")
    found = json.loads(score_text(path, "nlpcc2025", as_json=True))
    assert "two or more" in found["intervals"]
    assert "low" not in found["metrics"]["ROUGE-L"]


def test_nothing_asked_for():
    result = CliRunner().invoke(app, ["score"])
    assert result.exit_code == 2
    assert "--pairs" in result.output


def test_the_benchmark_compares_equal_values():
    from finetune.metrics.bench import run_score_bench, score_bench_text

    found = run_score_bench(pairs=40, workers=1)
    assert found.largest_difference < 1e-9
    assert found.metrics >= 15
    assert "pairs per second" in score_bench_text(found)
    with pytest.raises(BadInput, match="0"):
        run_score_bench(pairs=0)
