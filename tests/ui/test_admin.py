"""The Study and Admin tabs: what is listed, who may look behind the door, and what they do."""

import asyncio
import json
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio.routes import App
from pydantic import SecretStr

from annotations import Store
from annotations.studies.oversight import oversee
from annotations.studies.values import StudyStatus
from esc_demo.models.registry import ModelRegistry
from esc_demo.models.specs import load_specs
from esc_demo.settings import Settings, get_settings
from esc_demo.ui.admin import Admin, build_admin
from esc_demo.ui.admin_login import FREE_TRIES, IDLE_S, Closed, Logins
from esc_demo.ui.admin_show import closed_html, progress_html
from esc_demo.ui.admin_view import build_admin_view
from esc_demo.ui.page import DOWNLOAD_S, build_app
from esc_demo.ui.studies import studies_html
from tests.annotations.studies.raters import Rater
from tests.ui.study_files import ARMS, open_study, study_values

PASSWORD = "a kettle under the stairs"


def visitor(name="page-one", address="10.0.0.1"):
    return SimpleNamespace(session_hash=name, client=SimpleNamespace(host=address))


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


async def lay_out():
    """The components, made inside a running loop, because gradio would leave its own open."""
    with gr.Blocks(analytics_enabled=False):
        return build_admin_view("")


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/esc.db"


@pytest.fixture
def store(url):
    with Store(url) as store:
        yield store


@pytest.fixture
def study(tmp_path, url):
    """An open study without practice; its slug."""
    return open_study(tmp_path, url, study_values(practice=None, session={"items": 4}))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def admin(store, clock):
    return Admin(asyncio.run(lay_out()), store, Logins(SecretStr(PASSWORD), clock))


def rater(store, slug):
    somebody = Rater(store.desk(), slug)
    store.desk().consent(slug, somebody.key, 4)
    return somebody


def text_of(frame):
    """All that a frame sends."""
    return json.dumps([str(value) for value in frame.values()])


def test_without_a_good_password_the_tab_says_how_to_set_one_and_has_no_login(store):
    assert Logins(None).closed is Closed.NO_PASSWORD
    assert Logins(SecretStr("short")).closed is Closed.TOO_SHORT
    for closed in Closed:
        assert "ESC_ADMIN_PASSWORD" in closed_html(closed)
    assert closed_html(None) == ""
    assert Logins(None).log_in("page-one", "10.0.0.1", "")
    assert Logins(SecretStr("short")).log_in("page-one", "10.0.0.1", "short")

    async def handlers(settings):
        with gr.Blocks(analytics_enabled=False) as page:
            build_admin(store, settings)
        return len(page.fns)

    assert asyncio.run(handlers(Settings(admin_password=None))) == 0
    assert asyncio.run(handlers(Settings(admin_password=PASSWORD))) > 5


def test_a_login_counts_for_one_page_and_ends(clock):
    logins = Logins(SecretStr(PASSWORD), clock)
    assert not logins.knows("page-one")
    assert "not the password" in logins.log_in("page-one", "10.0.0.1", PASSWORD + " ")
    assert not logins.knows("page-one")
    assert logins.log_in("page-one", "10.0.0.1", PASSWORD) == ""
    assert logins.knows("page-one")
    assert not logins.knows("page-two")
    assert not logins.knows(None)
    clock.now += IDLE_S - 1
    assert logins.knows("page-one")
    clock.now += IDLE_S + 1
    assert not logins.knows("page-one")
    assert logins.log_in("page-one", "10.0.0.1", PASSWORD) == ""
    logins.log_out("page-one")
    assert not logins.knows("page-one")


def test_wrong_passwords_cost_more_and_more_time_whatever_the_page(clock):
    logins = Logins(SecretStr(PASSWORD), clock)
    for number in range(FREE_TRIES):
        assert "not the password" in logins.log_in(f"page-{number}", "10.0.0.1", "wrong")
    assert "Wait 1 s" in logins.log_in("page-new", "10.0.0.1", PASSWORD)
    assert not logins.knows("page-new")
    clock.now += 1.1
    assert "not the password" in logins.log_in("page-new", "10.0.0.1", "wrong")
    assert "Wait 2 s" in logins.log_in("page-new", "10.0.0.1", "wrong")
    assert logins.log_in("page-far", "10.0.0.2", PASSWORD) == ""  # others are not locked out
    clock.now += 2.1
    assert logins.log_in("page-new", "10.0.0.1", PASSWORD) == ""
    assert "not the password" in logins.log_in("page-new", "10.0.0.1", "wrong")  # no wait any more


def test_tries_from_many_addresses_are_slowed_down_together(clock):
    logins = Logins(SecretStr(PASSWORD), clock)
    told = [logins.log_in("page", f"10.0.1.{number}", "wrong") for number in range(60)]
    assert "not the password" in told[0]
    assert "Wait" in told[-1]


def test_before_the_login_no_handler_tells_or_does_anything(admin, study, store):
    frames = [
        admin.look(visitor(), study),
        admin.ask(visitor(), study, "close"),
        admin.do(visitor(), (study, "close")),
        admin.check(visitor(), study, "ABCD"),
        admin.enter(visitor(), "wrong password"),
        admin.enter(visitor(), None),
    ]
    for frame in frames:
        assert "Which reply" not in text_of(frame)
        assert not any(arm in text_of(frame) for arm in ARMS)
        assert frame[admin.view.office]["visible"] is False
    assert store.desk().study(study).status is StudyStatus.OPEN


def test_the_owner_sees_how_far_the_study_is_but_not_who_is_ahead(admin, study, store):
    for score, choice in ((1, "1"), (4, "tie")):
        rater(store, study).work(score=score, preference=choice)
    one = rater(store, study)
    store.desk().report_problem(study, one.key, None, "The <b>buttons</b> are small.")
    frame = admin.enter(visitor(), PASSWORD)
    view = admin.view
    assert frame[view.office]["visible"] is True
    assert frame[view.picker]["value"] == study
    assert " / ".join(ARMS) in frame[view.progress]
    assert "<td>8</td>" in frame[view.progress]  # two people, four items each
    assert "<td>36</td>" in frame[view.progress]
    assert "finished" in frame[view.people]
    assert "reading the consent" not in frame[view.people]
    assert "&lt;b&gt;buttons" in frame[view.problems]
    assert "<td>P001</td>" in frame[view.quality]
    after = frame[view.progress].partition("Agreement so far")[2]
    assert "comforting" in after
    for shown in (after, frame[view.people], frame[view.quality]):
        assert not any(arm in shown for arm in ARMS)


def test_a_study_is_paused_opened_again_and_closed_each_after_a_question(admin, study, store):
    admin.enter(visitor(), PASSWORD)
    control = admin.view.control
    for act, status, next_buttons in (
        ("pause", StudyStatus.PAUSED, (False, True, True)),
        ("open", StudyStatus.OPEN, (True, False, True)),
        ("close", StudyStatus.CLOSED, (False, False, False)),
    ):
        before = store.desk().study(study).status
        asked = admin.ask(visitor(), study, act)
        assert asked[control.confirm]["visible"] is True
        assert store.desk().study(study).status is before
        done = admin.do(visitor(), asked[control.asked])
        assert store.desk().study(study).status is status
        assert done[control.confirm]["visible"] is False
        buttons = (control.pause, control.go_on, control.close)
        assert tuple(done[button]["visible"] for button in buttons) == next_buttons
    refused = admin.do(visitor(), (study, "open"))
    assert "closed" in refused[admin.view.notice]
    admin.do(visitor(), (study, "delete"))  # nothing that is offered
    assert store.desk().study(study).status is StudyStatus.CLOSED


def test_a_code_is_confirmed_without_its_pseudonym(admin, study, store):
    done = rater(store, study).work()
    code = done.debrief.completion_code
    admin.enter(visitor(), PASSWORD)
    frame = admin.check(visitor(), study, f"{code.lower()}\nNOPE-NOPE {code}")
    shown = frame[admin.view.codes.found]
    assert "real, finished · listed 2 times" in shown
    assert "unknown in this study" in shown
    assert "P001" not in shown


def test_the_export_is_an_archive_of_answers_for_the_owner_only(admin, study, store):
    rater(store, study).work()
    assert ".zip" not in text_of(admin.export(visitor(), study))
    admin.enter(visitor(), PASSWORD)
    frame = admin.export(visitor(), study)
    path = frame[admin.view.download]["value"]
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert {"ratings.csv", "ratings.jsonl", "ratings.parquet", "dictionary.md"} <= set(names)
        rows = archive.read(next(name for name in names if name.endswith("ratings.csv")))
    assert rows.count(b"P001") == 4 * 2 * 4  # items, replies, dimensions
    assert admin.look(visitor(), study)[admin.view.download]["value"] is None


def test_give_aways_of_live_replies_are_counted_on_the_tab(study, store):
    seen = oversee(store, study)
    assert "named a model" not in progress_html(seen)
    seen = replace(seen, progress=replace(seen.progress, telling=2))
    assert "Live replies that named a model or a machine: 2." in progress_html(seen)


def test_the_copy_of_an_offered_file_goes_with_the_server(tmp_path, store):
    archive = tmp_path / "blind.zip"
    archive.write_bytes(b"answers")

    async def serve_once():
        registry = ModelRegistry(load_specs(get_settings().models_file), None)
        page = build_app(Settings(), store, registry)
        assert page.delete_cache == (DOWNLOAD_S, DOWNLOAD_S)
        download = next(one for one in page.blocks.values() if isinstance(one, gr.File))
        download.temp_files.add(str(archive))
        app = App.create_app(page)
        async with app.router.lifespan_context(app):
            assert archive.exists()

    asyncio.run(serve_once())
    assert not archive.exists()


def test_leaving_takes_everything_off_the_page(admin, study):
    admin.enter(visitor(), PASSWORD)
    frame = admin.leave(visitor())
    assert "Which reply" not in text_of(frame)
    shown = (admin.view.state, admin.view.progress, admin.view.quality, admin.view.problems)
    assert all(frame[part] == "" for part in shown)
    assert "log in again" in text_of(admin.look(visitor(), study))


def test_the_study_tab_links_to_open_studies_only(tmp_path, url, store):
    assert "No study is running" in studies_html(store)
    slug = open_study(tmp_path, url, study_values(title="Which <i>one</i>?"))
    shown = studies_html(store)
    assert f'href="study/{slug}"' in shown
    assert "Which &lt;i&gt;one" in shown
    assert "0 of 36 answers" in shown
    assert not any(arm in shown for arm in ARMS)
    store.desk().close(slug)
    closed = studies_html(store)
    assert "href" not in closed
    assert "closed" in closed
