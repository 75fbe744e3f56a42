"""Importing externally collected answers: all or nothing, once, and as the study asks."""

import pytest

from annotations import Store
from annotations.exporting import Format, export_study, write_export
from annotations.frames import Keep, preferences_frame, ratings_frame
from annotations.importing import import_files
from annotations.studies.errors import StudyError
from annotations.upkeep import check_database
from esc_demo.errors import BadInput
from esc_demo.settings import get_settings
from tests.annotations.studies.conftest import item_lines
from tests.annotations.studies.raters import Office

RATED = "rater,item,arm,side,dimension,score\n"
CHOSEN = "rater,item,arm_a,arm_b,side_a,choice\n"


@pytest.fixture(autouse=True)
def _secret(monkeypatch):
    monkeypatch.setenv("ESC_STUDY_SECRET", "a long random text")
    get_settings.cache_clear()


@pytest.fixture
def bring(office, tmp_path):
    """Write files and import them."""

    def work(slug, *texts):
        paths = []
        for number, text in enumerate(texts):
            path = tmp_path / f"file{number}.csv"
            path.write_text(text, "utf-8")
            paths.append(path)
        return import_files(office.store, slug, paths)

    return work


def scores(rater="ann@example.org", item="item-0", left="lora", right="base", score="4"):
    """Lines with all scores of one screen."""
    return "".join(
        f"{rater},{item},{arm},{side},{dimension},{score}\n"
        for side, arm in ((1, left), (2, right))
        for dimension in ("engagement", "comforting", "appropriateness", "suggestion")
    )


def choices(*raters, item="item-0", left="lora", right="base"):
    """A file with a preference of each."""
    return CHOSEN + "".join(f"{rater},{item},{left},{right},1,tie\n" for rater in raters)


def stored(office):
    """Rows of everything that an import adds to."""
    tables = ("study_participant", "study_assignment", "study_submission", "rating_submission")
    tables = (*tables, "rating", "preference")
    return [office.sql(f"SELECT count(*) FROM {table}")[0][0] for table in tables]


def test_ratings_and_preferences_of_a_screen_come_together(office, bring):
    slug = office.found()
    done = bring(
        slug,
        RATED + scores() + scores("bob", "item-1", "base", "full", ""),
        CHOSEN + "ann@example.org,item-0,base,lora,right,lora\nbob,item-1,full,base,2,tie\n",
    )
    assert (done.raters, done.screens, done.scores, done.preferences) == (2, 2, 16, 2)
    assert (done.again, done.surplus, done.new_raters) == (False, 0, 2)
    ratings = ratings_frame(office.store, slug).set_index("item")
    assert set(ratings.loc["item-0", "participant"]) == {"P001"}
    left = ratings.loc["item-0"].query("side == 1")
    assert set(left["arm"]) == {"lora"} and set(left["score"]) == {4}
    assert set(ratings.loc["item-1", "status"]) == {"cannot_judge"}
    chosen = preferences_frame(office.store, slug).set_index("item")
    assert list(chosen.loc["item-0", ["arm_a", "side_a", "choice"]]) == ["base", 2, "lora"]
    assert chosen.loc["item-1", "choice"] == "tie"
    assert chosen["seconds"].isna().all()  # unknown, not nothing
    assert check_database(office.store.engine) == ()
    assert office.desk.progress(slug).submitted == 2
    names = office.sql("SELECT external_hash FROM study_participant")
    assert all("ann" not in name for (name,) in names)


def test_two_studies_may_import_the_same_files(office, bring):
    files = (RATED + scores(), choices("ann@example.org"))
    assert bring(office.found(), *files).screens == 1
    done = bring(office.found(slug="another"), *files)
    assert (done.again, done.screens) == (False, 1)
    assert check_database(office.store.engine) == ()


def test_the_same_files_again_change_nothing(office, bring):
    slug = office.found()
    first = (RATED + scores(), CHOSEN + "ann@example.org,item-0,base,lora,2,base\n")
    bring(slug, *first)
    before = stored(office)
    assert bring(slug, *reversed(first)).again
    assert stored(office) == before
    with pytest.raises(BadInput, match=r"file0.csv, line 2: this rater was given item-0 before"):
        bring(slug, RATED + scores(score="1"), choices("ann@example.org"))
    assert stored(office) == before
    # The same person with another item is the same participant.
    more = (RATED + scores(item="item-1"), choices("ann@example.org", item="item-1"))
    assert bring(slug, *more).new_raters == 0
    assert set(ratings_frame(office.store, slug)["participant"]) == {"P001"}


def test_what_a_task_does_not_need_is_surplus(office, bring):
    slug = office.found()
    names = ("ann", "bob", "eve")
    done = bring(slug, RATED + "".join(scores(name) for name in names), choices(*names))
    assert (done.screens, done.surplus) == (3, 1)
    assert set(ratings_frame(office.store, slug)["participant"]) == {"P001", "P002"}
    kept = ratings_frame(office.store, slug, Keep(surplus=True))
    assert set(kept["participant"]) == {"P001", "P002", "P003"}
    assert check_database(office.store.engine) == ()
    seen = {office.rater(slug).item().history[0].text for _ in range(4)}
    assert len(seen) > 1  # people still get items


def test_a_screen_that_lacks_an_answer_takes_no_place(sqlite_url, new_study, clock, tmp_path):
    office = Office(sqlite_url, new_study, clock)
    slug = office.found()
    rated, chosen = tmp_path / "rated.csv", tmp_path / "chosen.csv"
    rated.write_text(RATED + scores("ann") + scores("bob").partition("\n")[2])
    chosen.write_text(choices("ann", "bob"))
    for files, said in [
        ([rated, chosen], "rated.csv, line 10: .* about item-0 lack engagement of lora; what"),
        ([rated], "line 2: .* about item-0 lack the preference"),
        ([chosen], "line 2: .* about item-0 lack engagement of lora, comforting of lora, "),
    ]:
        with pytest.raises(BadInput, match=said):
            import_files(office.store, slug, files)
    assert stored(office) == [0] * 6
    rated.write_text(RATED + scores("ann") + scores("bob"))
    assert import_files(office.store, slug, [rated, chosen]).surplus == 0
    office.store.close()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("ann,item-0,base,1,comforting,7", "line 2: score is '7'; it must be a whole number"),
        ("ann,item-0,base,1,comforting,nan", "line 2: score is 'nan'"),
        ("ann,item-0,base,1,kindness,3", "line 2: dimension is 'kindness'; known are"),
        ("ann,item-0,base,1,fluency,3", "line 2: the study does not ask for fluency"),
        ("ann,item-9,base,1,comforting,3", "line 2: item 'item-9' is not one of the study's"),
        ("ann,item-0,gpt,1,comforting,3", "line 2: arm 'gpt' is not one of base, lora, full"),
        ("ann,item-0,base,3,comforting,3", "line 2: side is '3'"),
        (",item-0,base,1,comforting,3", "line 2: rater is empty"),
        ("ann,item-0,base,1,comforting", "line 2: 5 cells, but 6 columns"),
        ("ann,item-0,base,1,comforting,3", "line 2: the column other_arm must say"),
        (
            "ann,item-0,base,1,comforting,3\nann,item-0,lora,1,comforting,3",
            "line 2: base and lora both stood on side 1",
        ),
        (
            "ann,item-0,base,,comforting,3\nann,item-0,lora,,comforting,3",
            "line 2: the column side must say",
        ),
        (
            "ann,item-0,base,1,comforting,3\nann,item-0,base,2,suggestion,3",
            "line 3: the reply of base stood on side 1 before",
        ),
        (
            "ann,item-0,base,1,comforting,3\nann,item-0,base,1,comforting,3",
            "line 3: a second score of this rater for item-0, base, comforting",
        ),
        (
            "".join(f"ann,item-0,{arm},,comforting,3\n" for arm in ("base", "lora", "full")),
            "name 3 arms; a screen has two",
        ),
        ('ann,item-0,"base,1,comforting,3', "line 2: unexpected end of data"),
    ],
)
def test_any_wrong_line_stops_everything(office, bring, lines, said):
    slug = office.found()
    good = RATED + scores("bob")
    with pytest.raises(BadInput) as refused:
        bring(slug, RATED + f"{lines}\n", good.replace("item-0", "item-1"))
    assert said in str(refused.value).replace("file0.csv, ", "")
    assert "Nothing was imported from file0.csv, file1.csv" in str(refused.value)
    assert stored(office) == [0] * 6


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column 'rater', 'item'"),
        (RATED, "a heading and no answers"),
        ("rater,item,arm,score\n", "line 1: no column 'dimension'"),
        (RATED.replace("side", "arm"), "the column 'arm' is there twice"),
        (RATED.replace("\n", ",study\n") + "a,item-0,base,1,comforting,3,other\n", "not small"),
        (RATED.replace("\n", ",rater_kind\n") + "a,item-0,base,1,comforting,3,judge\n", "human"),
        (RATED.replace("\n", ",kind\n") + "a,item-0,base,1,comforting,3,gold\n", "kind must be"),
        (RATED.replace("\n", ",seconds\n") + "a,item-0,base,1,comforting,3,-1\n", "seconds is"),
        (
            RATED.replace("\n", ",submitted_at\n") + "a,item-0,base,1,comforting,3,2020-01-01\n",
            "time zone",
        ),
        (
            RATED.replace("\n", ",submitted_at\n")
            + "a,item-0,base,1,comforting,3,0001-01-01T00:00:00+14:00\n",
            "line 2: submitted_at is '0001-01-01",
        ),
        (CHOSEN + "a,item-0,base,lora,1,full\n", "choice is 'full'"),
        (CHOSEN + "a,item-0,base,lora,1,tie\na,item-0,lora,base,2,tie\n", "a second preference"),
    ],
)
def test_headings_and_other_columns_are_checked(sqlite_url, new_study, clock, tmp_path, text, said):
    office = Office(sqlite_url, new_study, clock)
    slug = office.found()
    path = tmp_path / "file.csv"
    path.write_text(text)
    with pytest.raises(BadInput, match=said):
        import_files(office.store, slug, [path])
    office.store.close()


def test_only_an_open_study_of_written_replies_takes_imports(office, bring):
    office.desk.create(office.new_study())
    with pytest.raises(StudyError, match="is a draft"):
        bring("small", RATED + scores())
    office.desk.open("small")
    office.desk.close("small")
    with pytest.raises(StudyError, match="is closed"):
        bring("small", RATED + scores())
    with pytest.raises(StudyError, match="no study"):
        bring("other", RATED + scores())


def test_single_replies_need_no_side(office, bring):
    plan = {"primary": {"outcome": "comforting", "arms": ["base", "lora"]}, "participants": 2}
    slug = office.found(mode="single", scales={"preference": False}, plan=plan)
    lines = scores("ann").replace(",lora,1,", ",full,").splitlines(keepends=True)[:4]
    done = bring(slug, "rater,item,arm,dimension,score\n" + "".join(lines))
    assert (done.screens, done.scores) == (1, 4)
    row = ratings_frame(office.store, slug).iloc[0]
    assert (row["arm"], row["score"]) == ("full", 4)
    with pytest.raises(BadInput, match="asks for no preference"):
        bring(slug, CHOSEN + "bob,item-0,base,lora,1,tie\n")


def test_an_export_comes_back_as_it_was(office, tmp_path, migrated, clock):
    slug = office.found(item_lines(3), session={"items": 3})
    for preference in ("1", "both_bad"):
        rater = office.rater(slug)
        while (item := rater.screen().item) is not None:
            office.clock.advance(seconds=7)
            rater.submit(item, preference=preference, score=2)
    write_export(export_study(office.store, slug, [Format.CSV]), tmp_path / "out")
    copy = tmp_path / "copy.db"
    copy.write_bytes(migrated.read_bytes())
    with Store(f"sqlite:///{copy}") as store:
        built = office.new_study(item_lines(3), session={"items": 3})
        store.desk().create(built)
        store.desk().open(slug)
        files = [tmp_path / "out" / f"{name}.csv" for name in ("ratings", "preferences")]
        done = import_files(store, slug, files)
        assert done.screens == 6 and "ratings.csv: reply_words" in done.unused
        for read in (ratings_frame, preferences_frame):
            before, after = read(office.store, slug), read(store, slug)
            drop = ["assignment"]
            order = [name for name in before if name not in ("submitted_at", *drop)]
            before, after = (
                one.drop(columns=drop).sort_values(order).reset_index(drop=True)
                for one in (before, after)
            )
            assert before.to_dict("records") == after.to_dict("records")
