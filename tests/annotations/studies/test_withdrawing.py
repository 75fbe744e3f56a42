"""Withdrawal by the owner, for somebody who wrote a mail: as if they had done it themselves."""

import pytest

from annotations.importing import import_files
from annotations.studies.errors import StudyError
from annotations.studies.values import Stage
from annotations.upkeep import check_database
from esc_demo.settings import get_settings
from tests.annotations.studies.conftest import item_lines
from tests.annotations.studies.test_submissions import counts, refused

SITE = {"open": True, "url_parameters": {}}


def worked(office, **changes):
    """Two people, each with two answers: (slug, the one who writes, the one who stays)."""
    slug = office.found(item_lines(3), session={"items": 2}, **changes)
    raters = office.rater(slug), office.rater(slug)
    for rater in raters:
        rater.work(comment="My name is Ada.")
    return slug, *raters


def test_it_is_asked_about_and_gives_the_receipt_that_the_page_would_give(office, cli):
    slug, leaves, stays = worked(office)
    question = "Delete the 2 answers of P001 in small?"
    assert question in cli("withdraw", slug, "--rater", leaves.pseudonym, code=1, answer="n\n")
    assert counts(office) == [4, 8, 32, 4]
    text = cli("withdraw", slug, "--rater", "p001", answer="y\n")
    assert "P001: 2 answers were deleted on" in text
    assert counts(office) == [2, 4, 16, 2]
    receipt = office.desk.withdraw(slug, leaves.key)  # again: the same
    assert receipt.code in text and receipt.answers == 2
    assert leaves.screen().stage is Stage.WITHDRAWN
    assert stays.screen().stage is Stage.DONE
    again = cli("withdraw", slug, "--rater", receipt.code)  # nothing is left to be asked about
    assert question not in again and receipt.code in again
    assert check_database(office.store.engine) == ()


@pytest.mark.parametrize("of", ["key", "completion"])
def test_any_code_that_a_participant_holds_names_them(office, cli, of):
    slug, leaves, _ = worked(office, withdrawal="anonymise")
    code = leaves.key if of == "key" else leaves.screen().debrief.completion_code
    text = cli("withdraw", slug, "--rater", code.lower().replace("-", ""), "--yes")
    assert "P001: 2 answers were anonymised" in text
    assert counts(office) == [4, 8, 32, 4]
    assert office.sql("SELECT number, withdrawal FROM study_participant ORDER BY number") == [
        (1, "anonymise"),
        (2, None),
    ]


@pytest.fixture
def _secret(monkeypatch):
    """The key of names, which PostgreSQL has no place for."""
    monkeypatch.setenv("ESC_STUDY_SECRET", "a long random text")
    get_settings.cache_clear()


def test_a_recruiting_sites_name_is_enough(office, cli):
    slug = office.found(recruitment=SITE)
    office.rater(slug)
    office.rater(slug, external="5f3c0ffee0ffee0ffee0ffee")
    assert office.desk.find_rater(slug, "5f3c0ffee0ffee0ffee0ffee").pseudonym == "P002"
    assert "P002: 0 answers" in cli(
        "withdraw", slug, "--rater", "5f3c0ffee0ffee0ffee0ffee", "--yes"
    )


@pytest.mark.usefixtures("_secret")
def test_an_invitation_is_enough_while_it_leads_to_one_person_only(office):
    slug = office.found(recruitment=SITE | {"invitations": ["spring-0417"]})
    office.rater(slug)
    office.rater(slug, invitation="spring-0417")
    assert office.desk.find_rater(slug, "Spring 0417").pseudonym == "P002"
    office.rater(slug, external="P001")  # a site may call people as we do
    assert office.desk.find_rater(slug, "P003").pseudonym == "P003"
    with refused(409, "may mean P001 and P003"):
        office.desk.withdraw_rater(slug, "P001")
    assert office.sql("SELECT withdrawn_at FROM study_participant") == [(None,)] * 3


def test_raters_of_an_imported_file_can_go_too(office, cli, tmp_path):
    slug = office.found(
        scales={"dimensions": ["comforting"], "preference": False},
        plan={
            "primary": {"outcome": "comforting", "arms": ["base", "lora"]},
            "participants": 3,
        },
    )
    names = ("ann", "P001")  # the second is called as the first is here
    lines = [
        f"{name},item-{number},{arm},{side},comforting,4\n"
        for number, name in enumerate(names)
        for side, arm in enumerate(("base", "lora"), 1)
    ]
    path = tmp_path / "more.csv"
    path.write_text("rater,item,arm,side,dimension,score\n" + "".join(lines))
    import_files(office.store, slug, [path])
    assert office.desk.find_rater(slug, "P001").pseudonym == "P001"
    assert office.desk.find_rater(slug, "P001", imported=True).pseudonym == "P002"
    with pytest.raises(StudyError, match=r"goes by 'ann'.*--imported"):
        cli("withdraw", slug, "--rater", "ann", "--yes")
    text = cli("withdraw", slug, "--rater", "ann", "--imported", "--yes")
    assert "P001: 1 answers were deleted" in text
    assert office.sql("SELECT count(*) FROM rating") == [(2,)]
    assert check_database(office.store.engine) == ()


def test_an_unknown_code_is_refused(office):
    slug, *_ = worked(office)
    for code in ("P003", "AAAA-AAAA-AAAA", "", "-"):
        with refused(404, "goes by"):
            office.desk.withdraw_rater(slug, code)
    assert counts(office) == [4, 8, 32, 4]
