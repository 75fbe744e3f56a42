"""A study in a database of its own, rated by simulated people with a known effect."""

import json

import yaml

from annotations import Store
from annotations.analysis.synthetic import Design, make_study
from annotations.importing import import_files
from annotations.studies import build, load_definition
from annotations.values import RaterKind
from tests.annotations.studies.raters import Rater
from tests.ui.study_files import ARMS, study_values

EVIL = "<script>alert(1)</script> {{this}} ${1} my <b>boss</b>"
TITLE = "Which reply <i>supports</i> better?"
STRATA = ("family", "work")


def item_lines(count):
    """Items in two strata, named as the generator names them."""
    return [
        {
            "id": f"item-{number + 1:03d}",
            "stratum": STRATA[number % 2],
            "history": [
                {"role": "seeker", "text": f"Day {number} without sleep."},
                {"role": "supporter", "text": "That is long. What keeps you awake?"},
                {"role": "seeker", "text": "The news from home. I lie there and listen."},
            ],
            "replies": {
                ARMS[0]: f"Try tea before bed on day {number + 1}. {EVIL}",
                ARMS[1]: f"Night {number} sounds endless. What did you hear from home?",
            },
        }
        for number in range(count)
    ]


def write_study(folder, url, slug="rated", count=8, **changes):
    """Store and open a study without answers; returns its slug."""
    lines = "".join(f"{json.dumps(line)}\n" for line in item_lines(count))
    (folder / f"{slug}.jsonl").write_text(lines, "utf-8")
    values = study_values(
        slug=slug,
        title=TITLE,
        items={"file": f"{slug}.jsonl", "stratum": "given"},
        raters_per_item=4,
        practice=None,
        session={"items": count},
        **changes,
    )
    path = folder / f"{slug}.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), "utf-8")
    built = build(load_definition(path))
    with Store(url) as store:
        store.desk().create(built)
        store.desk().open(slug, built)
    return slug


def rate(folder, url, slug, count=8, comment=EVIL, seed=3):
    """Three simulated raters for each item are imported; a fourth answers all, with a comment."""
    design = Design(
        items=count,
        raters=4,
        per_task=3,
        effects=dict(zip(ARMS, (0.0, 1.0), strict=True)),
        missing=0.02,
    )
    frames = make_study(design, seed).of(RaterKind.HUMAN)
    ratings = frames.ratings.assign(other_arm=frames.ratings["arm"].map(dict([ARMS, ARMS[::-1]])))
    columns = ["rater", "item", "arm", "other_arm", "side", "dimension", "score"]
    ratings[columns].to_csv(folder / "ratings.csv", index=False)
    columns = ["rater", "item", "arm_a", "arm_b", "side_a", "choice"]
    frames.preferences[columns].to_csv(folder / "preferences.csv", index=False)
    with Store(url) as store:
        import_files(store, slug, [folder / "ratings.csv", folder / "preferences.csv"])
        somebody = Rater(store.desk(), slug)
        store.desk().consent(slug, somebody.key, 4)
        somebody.work(score=2, preference="tie", comment=comment)


def close(url, slug):
    """End a study."""
    with Store(url) as store:
        store.desk().close(slug)
