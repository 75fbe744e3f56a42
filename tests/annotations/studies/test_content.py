"""What is kept of studies in memory: never that of another database, and never without end."""

from annotations import Store
from annotations.backup import back_up
from annotations.studies.kept import Kept
from annotations.studies.values import Stage
from tests.annotations.studies.conftest import item_lines
from tests.annotations.studies.raters import Rater


def test_a_copy_of_the_database_shows_its_own_items(office, tmp_path):
    built = office.new_study(item_lines(3), session={"items": 2})
    office.desk.create(built)
    back_up(office.store.engine, tmp_path / "copy.db")
    office.desk.open("small")
    assert office.rater("small").work().stage is Stage.DONE
    with Store(f"sqlite:///{tmp_path / 'copy.db'}") as copy:
        desk = copy.desk()
        desk.create(built)  # the same study, whose items and tasks have other ids now
        desk.open("small")
        rater = Rater(desk, "small")
        desk.consent("small", rater.key, 1)
        assert rater.work().stage is Stage.DONE
    assert office.rater("small").work().stage is Stage.DONE


def test_what_was_used_least_lately_is_made_again():
    made = []
    kept = Kept(most=2)

    def ask(key):
        return kept.get(key, lambda: made.append(key) or key.upper())

    assert [ask(key) for key in "abacab"] == list("ABACAB")
    assert made == ["a", "b", "c", "b"]
