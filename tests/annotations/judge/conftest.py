"""Studies for judges, on the databases and with the writers of the studies' own tests."""

import pytest

from tests.annotations.judge.desks import clean, desk, new_desk, study  # noqa: F401
from tests.annotations.studies.conftest import clock, new_study, office, written  # noqa: F401
from tests.annotations.studies.raters import Office


@pytest.fixture
def sqlite_office(sqlite_url, new_study, clock):  # noqa: F811
    """For what no database does differently."""
    office = Office(sqlite_url, new_study, clock)  # noqa: F811
    yield office
    office.store.close()
