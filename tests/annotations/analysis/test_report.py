"""The report: from files on the command line, and from answers that allow little."""

import csv
import io
import re

import pandas as pd
import pytest
from typer.testing import CliRunner

from annotations.analysis import PlanView, analyse, read_plan, tidy
from annotations.analysis.differences import differences
from annotations.analysis.missing import bounds, missing_shares
from annotations.analysis.mixed import mixed_models
from annotations.analysis.plan import primary
from annotations.analysis.synthetic import Design, make_study
from annotations.cli import app
from annotations.reports import make_document, to_page, to_text, write_report
from annotations.reports.formats import to_csv, to_latex
from annotations.reports.table12 import table12_latex
from annotations.reports.tables import Table
from annotations.reports.write import report_files
from annotations.values import RaterKind
from esc_demo import __version__
from esc_demo.errors import BadInput, ConfigError

RATING = ["rater", "item", "arm", "dimension", "score"]
PAIR = ["rater", "item", "arm_a", "arm_b", "choice"]


@pytest.fixture(scope="module")
def study():
    return make_study(Design(items=12, raters=6, per_task=4), 5)


@pytest.fixture(scope="module")
def analysis(study):
    return analyse(study, PlanView("comforting", "lora", "base"))


def rated(*rows):
    return pd.DataFrame(list(rows), columns=RATING)


def compared(*rows):
    return pd.DataFrame(list(rows), columns=PAIR)


def test_files_become_a_report(study, tmp_path):
    ratings = study.ratings.rename(columns={"words": "reply_words"})
    ratings.to_csv(tmp_path / "r.csv", index=False)
    study.preferences.to_csv(tmp_path / "p.csv", index=False)
    (tmp_path / "plan.yaml").write_text("primary: {outcome: preference, arms: [base, lora]}\n")
    command = ["report", "--ratings", str(tmp_path / "r.csv"), "--out", str(tmp_path / "out")]
    command += ["--preferences", str(tmp_path / "p.csv"), "--plan", str(tmp_path / "plan.yaml")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "lora against base: preference" in page
    assert "nothing here shows when it was written" in page
    with (tmp_path / "out" / "tables" / "table12.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["system"] for row in rows] == ["base", "lora"]
    mean = study.ratings[
        (study.ratings["arm"] == "lora")
        & (study.ratings["dimension"] == "comforting")
        & (study.ratings["rater_kind"] == "judge")
    ]["score"].mean()
    assert float(rows[1]["judge: comforting"]) == pytest.approx(mean)
    assert float(rows[1]["judge: comforting low"]) < mean < float(rows[1]["judge: comforting high"])


def test_the_page_loads_nothing_and_orders_its_parts(analysis):
    page = to_page(make_document(analysis, "A <study> & more"))
    assert "<title>A &lt;study&gt; &amp; more</title>" in page
    assert not re.search(r"(src|href)=[\"'](?!#)|url\(|@import|<script", page)
    assert page.index("Pre-registered") < page.index("Exploratory") < page.index('id="methods"')
    assert page.count("<svg") >= 10 and page.count("<caption>") == page.count("<table>")
    for count in ("6 people", "1 automatic judge", "on 12 items"):
        assert count in page.lower()


def test_no_estimate_is_shown_without_interval_and_n(analysis):
    text = to_text(make_document(analysis, "x"))
    table = text[text.index("Mean scores") : text.index("## Tables")]
    cells = [
        cell for line in table.splitlines() if line.startswith("| ") for cell in line.split("|")
    ]
    numbers = [cell for cell in cells if re.match(r" \d\.\d\d", cell)]
    assert len(numbers) == 16
    assert all(re.search(r"\[.*\] \(n=\d+, 12 items, \d raters?", one) for one in numbers)


def test_table_12_in_latex(analysis):
    text = table12_latex(analysis)
    assert r"\multicolumn{4}{c}{People} & \multicolumn{4}{c}{Judge}" in text
    assert r"\cmidrule(lr){2-5}\cmidrule(lr){6-9}" in text
    rows = [line for line in text.splitlines() if line.startswith(("base", "lora"))]
    assert [row.count(" & ") for row in rows] == [8, 8]
    assert sum(row.count(r"\textbf") for row in rows) >= 8
    assert to_latex(make_document(analysis, "x").tables[0]).count(r"\begin{tabular}") == 1


ODD = ('\\&%$#_{}~^ [x]* <y> |"-', "*50% of_{it}", "[plain]\n\nbut odd")
"""Names of arms with every character that means something to LaTeX."""


def odd_study():
    """People and two judges on arms, a dimension and raters with such names."""
    rows = [
        (rater, str(item), arm, dimension, (item + place * len(rater)) % 6, kind)
        for rater, kind in (("p_1", "human"), ("q&2", "human"), ("j%", "judge"), ("k#", "judge"))
        for item in range(4)
        for place, arm in enumerate(ODD)
        for dimension in ("comforting", "odd_one & {more}")
    ]
    pairs = [
        (rater, kind, str(item), ODD[0], ODD[1], ODD[item % 2])
        for rater, kind in (("p_1", "human"), ("j%", "judge"))
        for item in range(4)
    ]
    names = ["rater", "rater_kind", "item", "arm_a", "arm_b", "choice"]
    return tidy(
        pd.DataFrame(rows, columns=[*RATING, "rater_kind"]), pd.DataFrame(pairs, columns=names)
    )


_PLAIN = re.compile(
    r"\\\\|\\(?:textbackslash|textasciitilde|textasciicircum|textonehalf)\{\}|\\[&%$#_{}]"
    r"|\$(?:-|<|>|\\nu)\$|\{[\[\]*]\}"
)
"""What may stand beside plain characters: line ends, and what was escaped."""
_READ = {r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^"}


def read_latex(text):
    """What a reader sees of an escaped text: each token but the named ones has one character."""
    return _PLAIN.sub(lambda found: _READ.get(found[0], found[0][1:2]), text)


def columns_of(line):
    """How many columns a row of a table fills."""
    bare = _PLAIN.sub("", line)
    wide = [int(span) - 1 for span in re.findall(r"\\multicolumn\{(\d+)\}", bare)]
    return bare.count("&") + 1 + sum(wide)


def test_every_table_in_latex_has_its_columns_and_nothing_unescaped():
    found = analyse(odd_study())
    files = report_files(found, make_document(found, "x"))
    tables = {name: text for name, text in files.items() if name.endswith(".tex")}
    assert {"human-means", "human-differences", "judge-wins", "table12"} <= {
        name.removeprefix("tables/").removesuffix(".tex") for name in tables
    }
    for name, text in tables.items():
        spec = re.search(r"\\begin\{tabular\}\{([lc]+)\}", text)[1]
        inside = text[text.index(r"\toprule") : text.index(r"\bottomrule")].splitlines()
        rows = [line for line in inside if line.endswith(r" \\")]
        assert len(rows) >= 2, name
        assert {columns_of(line) for line in rows} == {len(spec)}, name
        for line in rows:
            assert line[0] not in "[*" and "\n\n" not in line
            rest = _PLAIN.sub("", line.removesuffix(r" \\"))
            rest = re.sub(r"\\(?:multicolumn|shortstack|textbf|underline|scriptsize)", "", rest)
            assert not re.search(r"[%$#_~^]", rest), (name, line)
            assert "\\" not in rest, (name, line)
            assert rest.count("{") == rest.count("}"), (name, line)
        caption = _PLAIN.sub("", re.search(r"\\caption\{(.*)\}$", text, re.MULTILINE)[1])
        assert not re.search(r"[%$#_~^&\\]", caption.replace("95\\%", "")), (name, caption)
    first = [line.split(" & ")[0] for line in tables["tables/table12.tex"].splitlines()]
    shown = {read_latex(cell) for cell in first}
    assert {" ".join(name.split()) for name in ODD} <= shown


@pytest.mark.parametrize(
    ("ratings", "preferences", "said"),
    [
        (None, None, "There are no answers yet"),
        (rated(("a", "1", "x", "comforting", 3)), None, "There is one arm (x)"),
        (rated(("a", "1", "x", "comforting", 3), ("a", "2", "y", "comforting", 3)), None,
         "undefined: one rater"),
        (rated(("a", "1", "x", "comforting", 3), ("a", "1", "y", "comforting", 3),
               ("b", "1", "x", "comforting", 3), ("b", "1", "y", "comforting", 3)), None,
         "the answers do not vary"),
        (rated(("a", "1", "x", "comforting", None), ("a", "1", "y", "comforting", None)), None,
         "2 of them without a score"),
        (None, compared(("a", "1", "x", "y", "tie"), ("b", "2", "x", "y", "tie")),
         "every comparison is a tie"),
        (None, compared(("a", "1", "x", "y", "x")), "100% "),
    ],
)  # fmt: skip
def test_little_can_be_said_but_it_is_said(ratings, preferences, said, tmp_path):
    plan = PlanView("comforting", "x", "y") if ratings is not None and len(ratings) > 1 else None
    found = analyse(tidy(ratings, preferences), plan)
    paths = write_report(found, tmp_path, "Little")
    assert said in (tmp_path / "report.md").read_text("utf-8")
    assert said.split(" (")[0] in (tmp_path / "report.html").read_text("utf-8") or said == "100% "
    assert all(path.exists() for path in paths)


def test_a_plan_names_what_exists(study, tmp_path):
    with pytest.raises(BadInput, match="'lorra'; the answers have base, lora"):
        primary(study, PlanView("comforting", "lorra", "base"))
    with pytest.raises(BadInput, match="outcome is 'fluency'"):
        primary(study, PlanView("fluency", "lora", "base"))
    path = tmp_path / "plan.yaml"
    path.write_text("primary: {outcome: comforting, arm: [base, lora]}\n")
    with pytest.raises(ConfigError, match=r"primary\.arm"):
        read_plan(path)
    path.write_text(
        "plan:\n  primary: {outcome: comforting, arms: [base, lora]}\n  participants: 3\n"
    )
    assert read_plan(path) == PlanView("comforting", "lora", "base", frozen=False)


def test_a_judge_on_another_scale_is_not_compared_with_people():
    rows = [
        (who, str(item), arm, "overall", 1 + (item + place) % 4, kind)
        for who, kind in (("p", "human"), ("q", "human"), ("g", "judge"), ("j", "judge"))
        for item in range(5)
        for place, arm in enumerate("xy")
    ]
    frame = pd.DataFrame(rows, columns=[*RATING, "rater_kind"])
    frame["scale"] = frame["rater"].map({"g": "1-5"})
    frame["score"] = frame["score"].where((frame["rater"] != "g") | (frame["score"] > 1))
    found = analyse(tidy(frame))
    by = {(one.judge, one.dimension): one.bias for one in found.calibration}
    assert by["j", "overall"].n == 10
    assert by["g", "overall (1-5)"].value is None
    assert by["g", "overall (1-5)"].note == "different scales: people 0-5, the judge 1-5"
    (missing,) = found.of(RaterKind.JUDGE).bounds
    gone = frame[(frame["rater"] == "g") & frame["score"].isna()]
    assert missing.missing == len(gone) > 0
    # y - x, a missing score of either put at 1 and 5 in place of 0 and 5.
    filled = frame[frame["rater"] == "g"].set_index(["item", "arm"])["score"]
    worst = [0.0] * 5
    for item in range(5):
        first, second = filled[str(item), "y"], filled[str(item), "x"]
        worst[item] = (1 if pd.isna(first) else first) - (5 if pd.isna(second) else second)
    assert missing.worst.value == pytest.approx(sum(worst) / 5)
    text = to_text(make_document(found, "x"))
    assert "Mean scores (0-5 and 1-5) by people and by each judge" in text
    assert "Tables of all judges" in text
    assert "Judge g: Overall (1-5)" in text and "Judge j: Overall" in text
    with pytest.raises(BadInput, match="off their scale of 1-5"):
        tidy(frame.assign(score=0))
    with pytest.raises(BadInput, match="'1-9' is not one like 1-5"):
        tidy(frame.assign(scale="1-9"))


def test_the_primary_result_turns_with_its_arms(study):
    one = primary(study, PlanView("comforting", "lora", "base"))
    other = primary(study, PlanView("comforting", "base", "lora"))
    assert one.result.value == pytest.approx(-other.result.value)
    assert one.bounds.worst.value == pytest.approx(-other.bounds.best.value)
    assert one.bounds.worst.value <= one.result.value <= one.bounds.best.value


def test_missing_scores_are_counted_where_they_are():
    rows = [
        (f"r{r}", str(i), arm, "comforting", None if (arm, i) == ("x", 0) else 3 + (arm == "x"))
        for r in range(3)
        for i in range(4)
        for arm in "xy"
    ]
    flags = {"0": True, "1": "False", "2": "No"}  # as Python, spreadsheets and people write
    frames = tidy(rated(*rows).assign(crisis=lambda table: table["item"].map(flags)))
    shares = {(one.by, one.value): one.share.value for one in missing_shares(frames)}
    assert shares["arm", "x"] == pytest.approx(0.25)
    assert shares["arm", "y"] == 0
    assert shares["crisis", "yes"] == pytest.approx(0.5)
    assert shares["crisis", "no"] == shares["crisis", "not marked"] == 0
    assert not any(one.by == "crisis" for one in missing_shares(tidy(rated(*rows))))
    found = bounds(frames)[0]
    assert (found.first, found.missing) == ("y", 3)
    # y - x is -1 on three items; on the fourth y is 3 and x is 5 or 0.
    assert found.worst.value == pytest.approx((-1 * 3 + 3 - 5) / 4)
    assert found.best.value == pytest.approx((-1 * 3 + 3 - 0) / 4)


def test_strata_are_analysed_apart(study):
    part = analyse(study, PlanView("comforting", "lora", "base"), stratum="work")
    assert part.of(RaterKind.HUMAN).size.items == 6
    document = make_document(part, "x")
    assert "Only the stratum 'work'." in to_text(document)
    for text in (to_text(document), to_page(document)):
        assert "Pre-registered" not in text
        assert "Exploratory (the planned comparison, but in the stratum work alone)" in text


def test_methods_count_what_was_done(analysis):
    whole = " ".join(make_document(analysis, "x").methods)
    assert "was tried for 4 sets of ratings" in whole  # people's: the judge is one rater
    rows = [
        ("p", str(item), arm, dimension, 1 + (item * place) % 4, "human")
        for item in range(5)
        for place, arm in enumerate("xy", 1)
        for dimension in ("comforting", "suggestion")
    ]
    judge = [("j", *row[1:5], "judge") for row in rows if row[3] == "comforting"]
    found = analyse(tidy(pd.DataFrame([*rows, *judge], columns=[*RATING, "rater_kind"])))
    text = " ".join(make_document(found, "x").methods)
    assert "of each pair of arms (people: 2; judge: 1)" in text
    assert "mixed-effects" not in text  # one rater of a kind: none could be tried


def test_one_answer_a_question():
    with pytest.raises(BadInput, match="'a' rated item '1' \\(comforting\\) twice"):
        tidy(rated(("a", "1", "x", "comforting", 3), ("a", "1", "x", "comforting", 4)))
    with pytest.raises(BadInput, match="off the scale of 0 to 5"):
        tidy(rated(("a", "1", "x", "comforting", 6)))
    with pytest.raises(BadInput, match="no column 'arm'"):
        tidy(pd.DataFrame({"rater": ["a"], "item": ["1"]}))


def test_no_cell_of_a_table_is_run_by_a_spreadsheet():
    names = ["=1+1", "-2+3", "+4", "@sum", "\t=1", "plain", "plain\r=1"]
    table = Table("t", "t", ("Arm", "Share"), tuple((name, 0.5) for name in names))
    shown = list(csv.reader(io.StringIO(to_csv(table), newline="")))[1:]
    told = [f"'{name.strip()}" for name in names[:5]] + ["plain", "plain =1"]
    assert shown == [[cell, "0.5"] for cell in told]


@pytest.mark.parametrize("items_differ", [0, 1])
def test_a_gap_that_is_the_same_everywhere_is_no_certainty(items_differ):
    """Everybody gives every item one point more with y: no variance, so nothing to test by."""
    rows = [
        (rater, str(item), arm, "comforting", 1 + items_differ * (item % 3) + (arm == "y"))
        for rater in "abc"
        for item in range(4)
        for arm in "xy"
    ]
    frames = tidy(rated(*rows))
    ((_, effect),) = mixed_models(frames)[0].effects
    assert (effect.value, effect.p) == (None, None) and "do not vary" in effect.note
    (one,) = differences(frames)
    assert one.difference.value == 1 and one.p_holm is None


def test_what_was_paired_and_what_it_holds_for_is_told():
    """Of four items one has a rater of both replies, so items are paired, not raters."""
    rows = [("a", "0", "x", 3), ("a", "0", "y", 4), ("b", "0", "x", 2)]
    rows += [(f"{arm}{item}", str(item), arm, item) for item in range(1, 4) for arm in "xy"]
    frame = rated(*[(rater, item, arm, "comforting", score) for rater, item, arm, score in rows])
    text = to_text(make_document(analyse(tidy(frame)), "x"))
    assert "where most items have no such rater, an item's mean scores" in text
    assert "same item, means of its raters" in text and f"esc-demo {__version__}" in text
    alone = to_text(make_document(analyse(tidy(frame[frame["item"] == "0"])), "x"))
    assert "hold for that item alone" in alone and "1 items" not in alone
