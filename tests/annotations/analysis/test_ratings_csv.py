"""External CSV files: all of one or nothing, and errors that name the line."""

import pytest

from annotations.ratings_csv import read_ratings
from esc_demo.errors import BadInput

HEAD = "rater,item,arm,dimension,score"
PAIRS = "rater,item,arm_a,arm_b,choice"


def ratings(tmp_path, *lines, head=HEAD):
    path = tmp_path / "r.csv"
    path.write_text("\n".join([head, *lines]) + "\n", "utf-8")
    return read_ratings(path)


def preferences(tmp_path, *lines, head=PAIRS):
    path = tmp_path / "p.csv"
    path.write_text("\n".join([head, *lines]) + "\n", "utf-8")
    return read_ratings(None, path)


def test_scores_and_what_cannot_be_judged(tmp_path):
    found = ratings(
        tmp_path, "a,1,x,comforting,4", "a,1,y,comforting,cannot_judge", "b,1,x,fluency,3.0",
        'b,"1",y,fluency,', head="\ufeff" + HEAD,
    )  # fmt: skip
    rows = found.frames.ratings
    assert list(rows["status"]) == ["scored", "cannot_judge", "scored", "cannot_judge"]
    assert list(rows["score"].dropna()) == [4, 3]
    assert found.frames.dimensions == ("comforting", "fluency")
    assert found.notes == ()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("a,2,x,comforting,6", "line 3: the score is 6; the scale is 0 to 5"),
        ("a,2,x,comforting,good", "line 3: the score is 'good'; it must be a whole number"),
        ("a,2,x,comforting,3.5", "line 3: the score is '3.5'"),
        ("a,2,x,warmth,3", "line 3: 'warmth' is not a dimension"),
        ("a,1,x,comforting,3", "line 3: the same question as in line 2"),
        (",2,x,comforting,3", "line 3: rater is empty"),
        ("a,2,x,comforting", "line 3: not as many cells"),
    ],
)
def test_a_wrong_line_refuses_the_file(tmp_path, line, why):
    with pytest.raises(BadInput) as caught:
        ratings(tmp_path, "a,1,x,comforting,4", line)
    assert why in str(caught.value) and "r.csv is refused as a whole" in str(caught.value)


@pytest.mark.parametrize("read", ["ratings", "preferences"])
def test_a_blank_rater_kind_is_a_human(tmp_path, read):
    line = "a,1,x,comforting,4," if read == "ratings" else "a,1,x,y,tie,"
    head = (HEAD if read == "ratings" else PAIRS) + ",rater_kind"
    found = globals()[read](tmp_path, line, line.replace("a,1", "b,1") + "judge", head=head)
    assert list(getattr(found.frames, read)["rater_kind"]) == ["human", "judge"]


def test_only_known_words_are_a_status(tmp_path):
    head = HEAD + ",status"
    known = (
        "scored",
        "cannot_judge",
        "parse_error",
        "refused",
        "content_filtered",
        "api_error",
        "",
    )
    lines = [
        f"a,{at},x,comforting,{4 if word == 'scored' else ''},{word}"
        for at, word in enumerate(known)
    ]
    found = ratings(tmp_path, *lines, head=head).frames.ratings
    assert list(found["status"]) == [*known[:-1], "cannot_judge"]
    for wrong in ("Scored", "ok", "4"):
        with pytest.raises(BadInput, match=f"line 3: the status is '{wrong}'; it must be one of"):
            ratings(tmp_path, lines[0], f"b,1,x,comforting,4,{wrong}", head=head)


@pytest.mark.parametrize("read", ["ratings", "preferences"])
def test_a_file_is_about_one_study(tmp_path, read):
    line = ",a,1,x,comforting,4" if read == "ratings" else ",a,1,x,y,tie"
    head = "study," + (HEAD if read == "ratings" else PAIRS)
    assert globals()[read](tmp_path, "one" + line, head=head)
    with pytest.raises(BadInput, match=r"holds answers of 2 studies, .*: one, two\."):
        globals()[read](tmp_path, "two" + line, "one" + line, head=head)


def test_aspects_of_a_pair_are_different_questions(tmp_path):
    head = PAIRS + ",aspect"
    found = preferences(tmp_path, "a,1,x,y,x,", "a,1,x,y,y,comforting", head=head)
    assert list(found.frames.preferences["aspect"]) == ["", "comforting"]
    with pytest.raises(BadInput, match="line 3: the same question as in line 2"):
        preferences(tmp_path, "a,1,x,y,x,action", "a,1,y,x,y,action", head=head)


def test_many_wrong_lines_are_counted(tmp_path):
    with pytest.raises(BadInput, match=r"line 9: .*; and 12 more"):
        ratings(tmp_path, *[f"a,{at},x,comforting,9" for at in range(20)])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ("rater;item;arm;dimension;score\n", "Separate cells with commas"),
        ("rater,item,arm,score\n", "no column 'dimension'"),
        (HEAD + ",rater\n", "the column 'rater' is there twice"),
    ],
)
def test_headings(tmp_path, text, why):
    path = tmp_path / "r.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(BadInput, match=why):
        read_ratings(path)


def test_other_files(tmp_path):
    with pytest.raises(BadInput, match="cannot be read: No such file"):
        read_ratings(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes(HEAD.encode() + b"\nJos\xe9,1,x,comforting,3\n")
    with pytest.raises(BadInput, match="not UTF-8"):
        read_ratings(tmp_path / "latin.csv")


def test_a_heading_alone_and_unknown_columns_are_told(tmp_path):
    found = ratings(tmp_path, head=HEAD + ",comment")
    assert len(found.frames.ratings) == 0
    assert "'comment' are not used" in found.notes[0] and "no rows" in found.notes[1]


def test_preferences_have_one_spelling_for_each_pair(tmp_path):
    found = preferences(
        tmp_path, "a,1,y,x,y,left", "b,1,x,y,tie,left", "c,1,x,y,both_bad,right",
        head=PAIRS + ",side_a",
    ).frames.preferences  # fmt: skip
    assert list(found["arm_a"]) == ["x"] * 3
    assert list(found["side_a"]) == ["right", "left", "right"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("a,1,x,y,z", "line 3: the choice is 'z'; it must be x, y, tie or both_bad"),
        ("a,1,x,x,x", "line 3: 'x' is compared with itself"),
        ("q,1,y,x,x", "line 3: the same question as in line 2"),
    ],
)
def test_wrong_preferences(tmp_path, line, why):
    with pytest.raises(BadInput) as caught:
        preferences(tmp_path, "q,1,x,y,tie", line)
    assert why in str(caught.value)


BOTH = "rater,item,arm,dimension,score,arm_a,arm_b,choice,mood"


def test_ratings_and_preferences_may_stand_in_one_file(tmp_path):
    found = ratings(
        tmp_path, "a,1,x,comforting,4,,,,", "a,1,,,,x,y,y,", "a,1,y,comforting,,,,,",
        "a,2,,,,x,y,tie,fine", head=BOTH,
    )  # fmt: skip
    frames = found.frames
    assert list(frames.ratings["status"]) == ["scored", "cannot_judge"]
    assert list(frames.preferences["choice"]) == ["y", "tie"]
    assert found.notes == ("r.csv: the columns 'mood' are not used.",)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("a,2,x,comforting,4,x,y,tie,", "line 3: a score and a choice"),
        ("a,2,,,,x,y,z,", "line 3: the choice is 'z'"),
        ("a,1,,,,y,x,tie,", "line 3: the same question as in line 2"),
        ("a,2,,,,,,,", "line 3: arm is empty"),
        ("a,2,,,,x,y,,", "line 3: choice is empty"),
    ],
)
def test_a_wrong_line_in_a_file_of_both_kinds_refuses_it(tmp_path, line, why):
    with pytest.raises(BadInput) as caught:
        ratings(tmp_path, "a,1,,,,x,y,y,", line, head=BOTH)
    assert why in str(caught.value)


def test_preferences_come_from_one_place(tmp_path):
    (tmp_path / "both.csv").write_text(BOTH + "\na,1,,,,x,y,y,\n", "utf-8")
    (tmp_path / "p.csv").write_text(PAIRS + "\na,1,x,y,y\n", "utf-8")
    with pytest.raises(BadInput, match="holds preferences of its own"):
        read_ratings(tmp_path / "both.csv", tmp_path / "p.csv")
