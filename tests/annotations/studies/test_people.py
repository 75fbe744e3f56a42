"""Coming in, coming back, and taking one's answers out."""

import hashlib

import pytest

from annotations.studies.errors import StudyError
from annotations.studies.keys import keyed_hash
from annotations.studies.values import Stage
from annotations.values import Origin
from esc_demo.dialogue import Role, Turn
from esc_demo.engine import Failed, HistoryPolicy, PaneConfig, Request
from esc_demo.errors import ConfigError
from esc_demo.settings import get_settings
from tests.annotations.raw import Refused
from tests.annotations.studies.conftest import item_lines
from tests.annotations.studies.raters import Rater, form
from tests.annotations.studies.test_submissions import counts, refused

LIVE = {
    "mode": "live",
    "items": None,
    "live": {"chats_per_pair": 2, "least_turns": 2, "most_turns": 4},
    "scales": {"dimensions": ["emotion_before", "comforting", "emotion_after"]},
    "session": {"items": 2},
    "raters_per_item": 1,
}
SITE = {"url_parameters": {}, "completion_url": "https://example.org/done?cc={code}"}


def everything(office):
    """All that is stored about participants, as one text."""
    tables = ("study", "study_participant", "study_invitation", "study_withdrawal")
    return str([office.sql(f"SELECT * FROM {table}") for table in tables])


def test_a_resume_code_works_however_it_is_typed_and_only_its_hash_is_kept(office):
    slug = office.found()
    rater = office.rater(slug)
    item = rater.item()
    assert [len(part) for part in rater.key.split("-")] == [4, 4, 4]
    for typed in (rater.key, rater.key.lower(), rater.key.replace("-", ""), f" {rater.key} "):
        entry = office.desk.enter(slug, resume_key=typed)
        assert (entry.pseudonym, entry.resumed, entry.stage) == ("P001", True, Stage.RATING)
        assert office.desk.current(slug, typed).item.assignment_id == item.assignment_id
    plain = rater.key.replace("-", "")
    assert plain not in everything(office).replace("-", "")
    assert hashlib.sha256(plain.encode()).hexdigest() in everything(office)
    with refused(404, "goes by that code"):
        office.desk.enter(slug, resume_key="AAAA-AAAA-AAAA")
    assert office.rater(slug).pseudonym == "P002"


def test_consent_names_its_version(office):
    slug = office.found()
    rater = Rater(office.desk, slug)
    screen = rater.screen()
    assert (screen.stage, screen.consent.version, screen.item) == (Stage.CONSENT, 1, None)
    with refused(409, "has changed"):
        office.desk.consent(slug, rater.key, 2)
    assert rater.screen().stage is Stage.CONSENT
    assert office.desk.consent(slug, rater.key, 1) is Stage.RATING
    office.clock.advance(minutes=1)
    office.desk.consent(slug, rater.key, 1)
    assert office.sql("SELECT consent_version FROM study_participant") == [(1,)]


def test_an_invitation_admits_one_person_who_can_come_back(office):
    slug = office.found(recruitment={"invitations": ["first-code", "other-code"]})
    first = office.desk.enter(slug, invitation="first-code")
    again = office.desk.enter(slug, invitation="FIRST-CODE")
    assert (again.key, again.pseudonym, again.resumed) == (first.key, "P001", True)
    assert office.desk.enter(slug, invitation="other-code").pseudonym == "P002"
    with refused(403, "not on the list"):
        office.desk.enter(slug, invitation="wrong-code")
    with refused(403, "by invitation only"):
        office.desk.enter(slug)
    assert "first-code" not in everything(office)


def test_a_person_of_a_recruiting_site_enters_once(office, monkeypatch):
    monkeypatch.setenv("ESC_STUDY_SECRET", "a long random text")
    get_settings.cache_clear()
    slug = office.found(recruitment=SITE, session={"items": 1})
    person = "5f3c0ffee0ffee0ffee0ffee"
    first = office.desk.enter(slug, external=person)
    again = office.desk.enter(slug, external=person)
    assert (again.key, again.pseudonym, again.resumed) == (first.key, "P001", True)
    assert office.desk.enter(slug, external="someone-else").pseudonym == "P002"
    assert person not in everything(office)
    study = office.sql("SELECT id FROM study")[0][0]
    assert keyed_hash("a long random text", "external", study, person) in everything(office)
    office.desk.consent(slug, first.key, 1)
    office.desk.submit(slug, first.key, form(office.desk.current(slug, first.key).item))
    debrief = office.desk.current(slug, first.key).debrief
    assert debrief.completion_url.endswith(f"?cc={debrief.completion_code}")
    with refused(422, "no usable name"):
        office.desk.enter(slug, external="x" * 201)


def test_without_a_setting_sqlite_keeps_its_secret_in_a_file_and_postgresql_asks(office):
    built = office.new_study(recruitment=SITE)
    office.desk.create(built)
    if office.store.engine.dialect.name != "sqlite":
        with pytest.raises(ConfigError, match="ESC_STUDY_SECRET"):
            office.desk.open("small")
        assert office.desk.study("small").status == "draft"
        return
    office.desk.open("small")
    key = office.desk.enter("small", external="someone").key
    assert office.desk.enter("small", external="someone").key == key
    with open(f"{office.url.removeprefix('sqlite:///')}.secret") as secret:
        assert len(secret.read()) == 64


def test_a_study_that_recruits_elsewhere_takes_no_names(office, monkeypatch):
    monkeypatch.setenv("ESC_STUDY_SECRET", "a long random text")
    get_settings.cache_clear()
    slug = office.found()
    with refused(403, "recruiting site"):
        office.desk.enter(slug, external="someone")


def worked(office, **changes):
    """A study in which two people have answered everything they were given."""
    slug = office.found(item_lines(3), session={"items": 2}, **changes)
    raters = office.rater(slug), office.rater(slug)
    for rater in raters:
        rater.work(comment="My name is Ada.")
    office.desk.report_problem(slug, raters[0].key, None, "I am Ada.")
    return slug, *raters


def test_withdrawing_deletes_and_gives_the_same_receipt_again(office):
    slug, rater, _ = worked(office)
    assert counts(office) == [4, 8, 32, 4]
    receipt = office.desk.withdraw(slug, rater.key)
    assert (receipt.how, receipt.answers) == ("delete", 2)
    assert counts(office) == [2, 4, 16, 2]
    office.clock.advance(days=1)
    assert office.desk.withdraw(slug, rater.key) == receipt
    assert rater.screen().stage is Stage.WITHDRAWN
    assert office.desk.progress(slug).submitted == 2
    assert office.sql("SELECT count(*) FROM study_problem") == [(0,)]
    assert receipt.code not in everything(office)
    for call in (
        lambda: office.desk.consent(slug, rater.key, 1),
        lambda: office.desk.report_problem(slug, rater.key, None, "x"),
    ):
        with refused(410, "withdrawn"):
            call()


def test_withdrawing_in_the_middle_frees_the_place(office):
    slug = office.found(item_lines(3))
    rater = office.rater(slug)
    item = rater.item()
    office.desk.save_draft(slug, rater.key, item.assignment_id, {"comment": "private"})
    office.desk.withdraw(slug, rater.key)
    with refused(410, "withdrawn"):
        rater.submit(item)
    assert sum(entry.open for entry in office.desk.progress(slug).strata) == 0
    assert office.sql("SELECT status, draft FROM study_assignment") == [("withdrawn", None)]


def test_anonymising_keeps_scores_and_no_text(office):
    slug, rater, _ = worked(office, withdrawal="anonymise")
    office.desk.withdraw(slug, rater.key)
    assert counts(office) == [4, 8, 32, 4]
    assert office.desk.progress(slug).submitted == 2
    comments = office.sql("SELECT comment FROM study_submission ORDER BY comment")
    assert comments == [("",), ("",), ("My name is Ada.",), ("My name is Ada.",)]
    with pytest.raises(Refused, match="append-only"):
        office.sql("DELETE FROM rating")
    with pytest.raises(Refused, match="append-only"):
        office.sql("UPDATE study_submission SET comment = 'x' WHERE comment = ''")


def hashes(office):
    """Every hash that is kept of a participant or an invitation."""
    rows = [
        *office.sql("SELECT key_hash FROM study_participant"),
        *office.sql("SELECT external_hash FROM study_participant"),
        *office.sql("SELECT code_hash FROM study_invitation"),
    ]
    return {value for (value,) in rows if value}


def test_nothing_leads_back_to_a_recruited_person_who_was_anonymised(office, monkeypatch):
    monkeypatch.setenv("ESC_STUDY_SECRET", "a long random text")
    get_settings.cache_clear()
    slug = office.found(recruitment=SITE, withdrawal="anonymise")
    rater = office.rater(slug, external="someone")
    rater.submit(rater.item())
    before = hashes(office)
    office.desk.withdraw(slug, rater.key)
    assert len(before) == 2
    assert not before & hashes(office)
    with refused(404, "goes by that code"):
        rater.screen()
    again = office.desk.enter(slug, external="someone")
    assert (again.pseudonym, again.resumed, again.stage) == ("P002", False, Stage.CONSENT)
    assert counts(office)[0] == 1


def test_nothing_leads_back_to_an_invited_person_who_was_anonymised(office):
    invited = {"invitations": ["first-code"]}
    slug = office.found(recruitment=invited, withdrawal="anonymise")
    rater = office.rater(slug, invitation="first-code")
    before = hashes(office)
    office.desk.withdraw(slug, rater.key)
    assert len(before) == 2
    assert not before & hashes(office)
    with refused(403, "not on the list"):
        office.desk.enter(slug, invitation="first-code")
    office.desk.create(office.new_study(recruitment=invited, withdrawal="anonymise"))
    again = office.desk.enter(slug, invitation="first-code")  # the owner lists the code again
    assert (again.pseudonym, again.resumed) == ("P002", False)


def test_the_database_lets_nobodys_answers_go_but_of_those_who_withdrew(office):
    slug, rater, stays = worked(office)
    office.sql(
        "UPDATE study_participant SET withdrawal = 'delete', withdrawn_at = created_at"
        " WHERE number = ?",
        int(rater.pseudonym[1:]),
    )
    for table in ("rating", "rating_submission", "preference", "study_submission"):
        with pytest.raises(Refused, match="append-only"):
            office.sql(f"DELETE FROM {table}")
    assert counts(office) == [4, 8, 32, 4]
    assert office.desk.answered(slug, stays.key, stays.screen().can_correct).preference == "1"


def chat(office, slug, rater, turns):
    """Two conversations of so many messages, as the live page stores them."""
    found = []
    for _ in range(2):
        conversation = office.store.open_conversation(
            origin=Origin.STUDY, policy=HistoryPolicy.INDEPENDENT, app_version="1"
        )
        for position in range(turns):
            turn = office.store.add_turn(
                conversation, position, "It is private.", HistoryPolicy.INDEPENDENT
            )
            request = Request(PaneConfig("m"), (Turn(Role.SEEKER, "It is private."),))
            office.store.record(
                *(conversation, turn, 0, None, HistoryPolicy.INDEPENDENT, request),
                Failed("I hear you.", "no model here", None, 0.1),
            )
        found.append(conversation)
    return tuple(found)


def test_a_live_chat_is_rated_as_a_whole_and_taken_out_again(office):
    slug = office.found(**LIVE)
    rater = office.rater(slug)
    item = rater.item()
    desk, at = office.desk, (slug, rater.key, item.assignment_id)
    assert (item.history, item.replies, item.least_turns) == ((), (), 2)
    assert {arm.id for arm in desk.live_arms(*at)} < {"base", "lora", "full"}
    assert desk.live_chats(*at) is None
    answer = {
        "scores": [{"comforting": 4}, {"comforting": 2}],
        "once": {"emotion_before": 1, "emotion_after": "cannot_judge"},
    }
    with refused(409, "not ended"):
        rater.submit(item, **answer)
    with refused(409, "at least 2 messages"):
        desk.end_chat(*at)
    chats = chat(office, slug, rater, 2)
    desk.set_live_chats(*at, chats)
    desk.set_live_chats(*at, chats)
    with refused(409, "begun elsewhere"):
        desk.set_live_chats(*at, chat(office, slug, rater, 1))
    assert desk.live_chats(*at) == chats
    desk.end_chat(*at)
    desk.end_chat(*at)
    assert rater.item().chat_ended
    with refused(422, "emotion_before"):
        rater.submit(item, scores=answer["scores"])
    rater.submit(item, **answer)
    view = desk.answered(*at)
    assert [dict(scores) for scores in view.scores] == answer["scores"]
    assert dict(view.once) == answer["once"]
    with pytest.raises(Refused, match="append-only"):
        office.sql("DELETE FROM generation")
    desk.withdraw(slug, rater.key)
    assert counts(office) == [0, 0, 0, 0]
    assert office.sql("SELECT count(*) FROM study_reply") == [(0,)]
    assert office.sql("SELECT count(*) FROM turn") == [(2,)]  # of the chat that was not taken
    assert office.sql("SELECT count(*) FROM conversation") == [(2,)]


def test_a_chat_belongs_to_its_participant_and_to_a_study(office):
    slug = office.found(**LIVE)
    rater, thief = office.rater(slug), office.rater(slug)
    item = rater.item()
    with refused(403, "not given to you"):
        office.desk.live_arms(slug, thief.key, item.assignment_id)
    page = office.store.open_conversation(
        origin=Origin.PAGE, policy=HistoryPolicy.SHARED, app_version="1"
    )
    with refused(409, "could not be started"):
        office.desk.set_live_chats(slug, rater.key, item.assignment_id, (page, page))
    with pytest.raises(StudyError, match="no chat"):
        other = office.found(slug="written")
        writer = office.rater(other)
        office.desk.end_chat(other, writer.key, writer.item().assignment_id)
