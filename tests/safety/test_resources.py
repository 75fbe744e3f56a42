"""The crisis resources: well formed, ordered for the region, and shown as links."""

import pytest
import yaml

from esc_demo.errors import ConfigError
from esc_demo.safety import CrisisResources, load_resources
from esc_demo.safety.resources import INTERNATIONAL


def test_the_region_of_the_operator_comes_first_and_the_international_one_next():
    ordered = [region.id for region in load_resources().ordered("india")]
    assert ordered[:2] == ["india", INTERNATIONAL]
    assert sorted(ordered) == sorted(region.id for region in load_resources().regions)
    assert load_resources().ordered(INTERNATIONAL)[0].id == INTERNATIONAL


def test_an_unknown_region_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"'mars'.*india"):
        load_resources().ordered("mars")


def test_a_number_that_can_be_dialled_is_the_one_that_is_shown():
    for region in load_resources().regions:
        for service in region.services:
            if service.href.startswith("tel:"):
                assert service.href[4:] in service.contact.replace(" ", "")


@pytest.mark.parametrize(
    "change",
    [
        {"regions": []},
        {"checked": "last year"},
        {"extra": 1},
        {"regions": [{"id": "us", "name": "US", "services": [{"name": "x", "contact": "1"}]}]},
    ],
)
def test_a_broken_file_is_refused(change):
    good = load_resources().model_dump()
    with pytest.raises(ValueError, match="validation error"):
        CrisisResources.model_validate(yaml.safe_load(yaml.safe_dump(good | change)))
