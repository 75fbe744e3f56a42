"""`python -m annotations judge`: what it says and sends, and that a kill costs nothing."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import typer
from typer.testing import CliRunner

from annotations import Store
from annotations.judge.cli import judge
from annotations.judge.job import Job, prepare
from annotations.judge.protocol import load_protocol
from annotations.judge.schema import answer_schema
from annotations.judge.values import Asking
from esc_demo.errors import BadInput, ConfigError
from esc_demo.models.endpoint import EndpointError
from esc_demo.settings import get_settings, handed_on
from tests.annotations import raw
from tests.annotations.judge.faulty import Fault, Faulty
from tests.annotations.judge.opened import calls, founded, table

app = typer.Typer()
app.command()(judge)

REPLIES = 12
PRICED = ("--price-in", "1", "--price-out", "2")


@pytest.fixture(scope="module")
def study(migrated, tmp_path_factory):
    return founded(migrated, tmp_path_factory.mktemp("founded"))


@pytest.fixture(scope="module")
def expected(study):
    """What lies in the tables after a run in which nothing happened."""
    url = f"sqlite:///{shutil.copy(study, study.parent / 'clean.db')}"
    with (
        Faulty(answer_schema(load_protocol("esc-reply"))) as one,
        pytest.MonkeyPatch.context() as p,
    ):
        settle(p, url, one)
        assert command().exit_code == 0 and len(one.requests) == REPLIES
    return table(url)


@pytest.fixture
def server():
    with Faulty(answer_schema(load_protocol("esc-reply"))) as one:
        yield one


@pytest.fixture
def url(study, tmp_path, monkeypatch, server):
    """The address of a copy of the study; the settings lead to it and to the server."""
    found = f"sqlite:///{shutil.copy(study, tmp_path / 'esc.db')}"
    settle(monkeypatch, found, server)
    return found


def settle(patch, url, server):
    """Let the settings lead to a database and a server."""
    patch.setenv("ESC_DATABASE_URL", url)
    patch.setenv("ESC_OPENAI_BASE_URL", server.url)
    patch.setenv("ESC_OPENAI_API_KEY", "right")
    get_settings.cache_clear()


def options(*more, protocol="esc-reply"):
    told = ("--study", "small", "--protocol", protocol, "--model", "little", "--max-tokens", "60")
    return [*told, *more]


def command(*more, answer=None):
    return CliRunner().invoke(app, options("--quiet", *more), input=answer)


def test_it_says_what_it_will_ask_and_asks_before_it_spends(url, server):
    asked = command(*PRICED, answer="n\n")
    assert asked.exit_code == 1 and not server.requests
    assert "12 to ask" in asked.output and "60 for each answer" in asked.output
    assert "$1 in, $2 out per million tokens (given on the command line)" in asked.output
    assert raw.run(url, "SELECT count(*) FROM judge_run") == [(0,)]
    done = command(*PRICED, answer="y\n")
    assert done.exit_code == 0 and len(server.requests) == REPLIES
    assert "12 of 12 questions are answered. Calls of the whole run: ok 12." in done.output
    again = command(*PRICED)  # nothing to spend, nothing to confirm
    assert again.exit_code == 0 and "12 are answered in this run" in again.output
    assert len(server.requests) == REPLIES


def test_the_estimate_is_not_passed(url, server):
    said = command(*PRICED, "--yes").output
    most = float(said.split("Cost: at most $")[1].split(";")[0])
    spent = sum(call["cost"] for call in calls(url))
    tokens = server.prompt_tokens + 2 * server.completion_tokens
    assert most >= spent == pytest.approx(tokens / 1e6) and spent > 0


def test_a_dry_run_sends_and_stores_nothing(url, server):
    shown = command("--dry-run", *PRICED)
    assert shown.exit_code == 0 and not server.requests
    assert "--- prompt 1 of 12 ---\n[system]\n" in shown.output and "[user]\n" in shown.output
    assert "My day 0 was long." in shown.output and "model-base" not in shown.output
    assert raw.run(url, "SELECT count(*) FROM judge_run") == [(0,)]


def test_that_planted_replies_stand_without_reference_is_said(url):
    for more, remarked in (((), True), (("--without-reference",), False)):
        told = CliRunner().invoke(
            app, options("--dry-run", "--controls", "gold", *more, protocol="esc-dialogue")
        )
        assert ("Beside planted replies no reference is shown" in told.output) is remarked
        assert "16 questions" in told.output


def test_what_is_free_is_not_asked_about(url, server):
    done = command("--limit", "1", "--controls", "generic", "--samples", "2", "--no-seed")
    assert done.exit_code == 0 and len(server.requests) == 2 * (3 + 1)
    assert "Cost: nothing" in done.output
    assert not any("seed" in seen.body for seen in server.requests)


def test_the_cap_ends_it_with_a_code_of_its_own(url, server):
    capped = command(*PRICED, "--yes", "--cap", "0.004")
    assert capped.exit_code == 3 and "Stopped at the cap of $0.0040" in capped.output
    assert "It may end the run" in capped.output and "higher --cap" in capped.output
    asked = len(server.requests)
    assert 0 < asked < REPLIES and server.prompt_tokens + 2 * server.completion_tokens <= 4000
    assert command(*PRICED, "--yes", "--cap", "1").exit_code == 0
    assert len(server.requests) == REPLIES and set(server.paid.values()) == {1}


def test_calls_that_failed_are_told_and_asked_again(url, server):
    server.faults = [Fault(status=400, message="the prompt is too long")]
    failed = command()
    assert failed.exit_code == 1 and "1 calls failed" in failed.output
    assert "the prompt is too long" in failed.output and "The same command" in failed.output
    assert command().exit_code == 0 and len(server.requests) == REPLIES + 1


@pytest.mark.parametrize(
    ("more", "kind", "said"),
    [
        (("--controls", "gold,best"), BadInput, "--controls has 'best'"),
        (("--base-url", "https://judge.example/v1"), BadInput, "--price-in"),
        (("--price-in", "1"), BadInput, "--price-out"),
        (("--base-url", "nowhere"), ConfigError, "ESC_OPENAI_BASE_URL"),
        (("--protocol", "esc-nothing"), ConfigError, "esc-nothing"),
        (("--study", "none"), ValueError, "none"),
    ],
)
def test_wrong_options_are_told_before_anything_is_sent(url, server, more, kind, said):
    refused = command(*more)
    assert isinstance(refused.exception, kind) and said in str(refused.exception)
    assert not server.requests


def test_a_wrong_key_names_the_variable(url, server, monkeypatch):
    monkeypatch.setenv("ESC_OPENAI_API_KEY", "wrong-secret")
    get_settings.cache_clear()
    refused = command()
    assert isinstance(refused.exception, EndpointError)
    assert "Set ESC_OPENAI_API_KEY" in str(refused.exception)
    assert "wrong-secret" not in refused.output + str(refused.exception)
    assert calls(url) == [] and len(server.requests) <= 4
    assert "the same command goes on" in refused.output


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_keeps_what_is_under_way_and_says_how_to_go_on(url, server, expected, blow):
    server.pause_s = 0.1

    def interrupt(seen):
        if len(server.requests) == 5:
            os.kill(os.getpid(), blow)

    before = signal.getsignal(blow)
    server.spoil = interrupt
    stopped = command()
    assert stopped.exit_code == 130 and "asks only what is missing" in stopped.output
    assert "what is under way may end" in stopped.output and signal.getsignal(blow) == before
    assert 5 <= len(calls(url)) == sum(server.paid.values()) < REPLIES
    assert command().exit_code == 0 and table(url) == expected
    assert len(server.paid) == REPLIES and set(server.paid.values()) == {1}


def test_a_run_that_is_killed_goes_on_where_it_was(url, server, expected):
    server.pause_s = 0.5
    program = start(url, *PRICED, "--yes")
    wait_for(lambda: len(calls(url)) >= 3)
    program.kill()
    program.communicate(timeout=30)
    stored = calls(url)
    assert 3 <= len(stored) < REPLIES
    server.pause_s = 0.0
    wait_for(lambda: server.now == 0)  # what the killed one had asked, it has been charged for
    under_way = sum(server.paid.values()) - len(stored)
    claimed = raw.run(url, "SELECT count(*), sum(cost) FROM judge_claim")[0]
    assert under_way <= claimed[0] <= 8  # what may be asked at once
    said = f"{claimed[0]} requests of an earlier process of this run were under way"
    assert claimed[0] == 1 or said in command("--dry-run", *PRICED).output
    done = command(*PRICED, "--yes")
    assert done.exit_code == 0 and f"${claimed[1]:.4f} may not have been charged" in done.output
    tokens = server.prompt_tokens + 2 * server.completion_tokens
    assert sum(call["cost"] for call in calls(url)) >= tokens / 1e6  # what is booked is enough
    assert table(url) == expected and len(expected) == 4 * REPLIES
    assert len(server.paid) == REPLIES
    assert sum(count - 1 for count in server.paid.values()) == under_way  # and nothing else
    kept = {call["place"]: call for call in calls(url)}
    assert all(kept[call["place"]] == call for call in stored)


def test_a_second_process_of_a_run_is_turned_away(url, server):
    job = Job("small", "esc-reply", "little", asking=Asking(max_tokens=60))
    with Store(url) as store:
        first = prepare(job, get_settings(), store)
        with first.ledger.alone(first.spec):
            second = start(url)
            said, _ = second.communicate(timeout=60)
    assert second.returncode == 2 and "Another process is asking for this run" in said
    assert "esc-reply and little over the study small" in said and "goes on" in said
    assert not server.requests and calls(url) == []
    assert command().exit_code == 0 and len(server.requests) == REPLIES


def test_two_processes_with_the_same_questions_pay_for_each_once(url, server):
    server.pause_s = 0.2
    programs = [start(url), start(url, "--samples", "2")]
    told = [program.communicate(timeout=60)[0] for program in programs]
    assert [program.returncode for program in programs] == [0, 0], told
    assert len(server.requests) == 2 * REPLIES and set(server.paid.values()) == {1}
    assert raw.run(url, "SELECT count(*) FROM judge_claim") == [(0,)]
    assert sum(call["cached"] for call in calls(url)) == REPLIES


def start(url, *more):
    """The command as a program of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "annotations", "judge", *options("--quiet", *more)],
        env=handed_on(ESC_DATABASE_URL=url),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(happened, seconds=30):
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_whoever_asks_for_help_waits_for_no_database_and_no_analysis():
    code = (
        "import sys, typer.testing, annotations.cli as cli;"
        "done = typer.testing.CliRunner().invoke(cli.app, ['judge', '--help']);"
        "heavy = {'sqlalchemy', 'sqlmodel', 'alembic', 'pandas', 'scipy', 'openai', 'gradio'};"
        "print(done.exit_code, '--cap' in done.output, *sorted(heavy & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["0", "True"]
