"""The design as pure functions: balance by construction, all chance from the seed."""

from collections import Counter

import pytest

from annotations.studies.design import (
    Answered,
    Candidate,
    Past,
    choose_repeat,
    choose_sides,
    choose_task,
    plan_session,
)
from annotations.values import AssignmentKind

PAIRS = (("base", "lora"), ("base", "full"), ("lora", "full"))
LABELS = ("anger", "grief")
ITEMS, NEEDED, RATERS, EACH = 70, 5, 25, 40


def simulate(seed):
    """1,000 assignments, raters taking turns: (rater, task, first arm) of each."""
    tasks = [
        Candidate(f"{item}~{'+'.join(pair)}", f"item-{item}", f"{pair}/{label}", pair, NEEDED)
        for item in range(ITEMS)
        for pair in PAIRS
        for label in (LABELS[item % 2],)
    ]
    firsts = {task.id: Counter() for task in tasks}
    met = {rater: set() for rater in range(RATERS)}
    strata = {rater: Counter() for rater in range(RATERS)}
    sides = {rater: Counter() for rater in range(RATERS)}
    given = []
    for _ in range(EACH):
        for rater in range(RATERS):
            past = Past(frozenset(met[rater]), strata[rater], sides[rater])
            now = [
                Candidate(t.id, t.item, t.stratum, t.arms, t.needed, f.total(), f)
                for t in tasks
                for f in (firsts[t.id],)
            ]
            task = choose_task(now, past, seed, rater)
            shown = choose_sides(task, past, seed, rater)
            assert set(shown) == set(task.arms)
            met[rater].add(task.item)
            strata[rater][task.stratum] += 1
            sides[rater][task.stratum, shown[0]] += 1
            firsts[task.id][shown[0]] += 1
            given.append((rater, task, shown[0]))
    return given


@pytest.fixture(scope="module")
def given():
    return simulate(7)


def test_sides_differ_by_one_at_most_for_each_rater_and_stratum(given):
    assert len(given) == 1000
    sides = Counter((rater, task.stratum, first) for rater, task, first in given)
    for rater in range(RATERS):
        for stratum, arms in {(task.stratum, task.arms) for _, task, _ in given}:
            left, right = (sides[rater, stratum, arm] for arm in arms)
            assert abs(left - right) <= 1, (rater, stratum)


def test_no_task_is_given_too_often_and_nobody_meets_an_item_twice(given):
    assert max(Counter(task.id for _, task, _ in given).values()) <= NEEDED
    assert max(Counter((rater, task.item) for rater, task, _ in given).values()) == 1


def test_strata_fill_alike_and_every_rater_gets_all_of_them(given):
    strata = Counter(task.stratum for _, task, _ in given)
    assert max(strata.values()) - min(strata.values()) <= 1
    mine = Counter((rater, task.stratum) for rater, task, _ in given)
    assert len(mine) == RATERS * 6
    assert set(mine.values()) <= {6, 7, 8}  # 40 items over six strata


def test_sides_of_one_task_are_balanced_over_raters_too(given):
    firsts = Counter((task.id, task.arms.index(first)) for _, task, first in given)
    differences = [
        abs(firsts[task, 0] - firsts[task, 1]) for task in {task.id for _, task, _ in given}
    ]
    assert sum(differences) / len(differences) < 1.5
    assert sum(count for (_, place), count in firsts.items() if place == 0) in range(460, 541)


def test_chance_comes_from_the_seed_alone():
    tasks = [Candidate(f"t{n}", f"i{n}", "s", ("a", "b"), 1) for n in range(30)]
    chosen = [choose_task(tasks, Past(), 1, rater).id for rater in range(30)]
    assert chosen == [choose_task(tasks[::-1], Past(), 1, rater).id for rater in range(30)]
    assert chosen != [choose_task(tasks, Past(), 2, rater).id for rater in range(30)]
    assert len(set(chosen)) > 10


def test_nothing_is_chosen_when_nothing_is_short():
    full = Candidate("t", "i", "s", ("a",), 1, taken=1)
    met = Candidate("u", "j", "s", ("a",), 1)
    assert choose_task([full, met], Past(met=frozenset({"j"})), 1, 1) is None
    assert choose_task([], Past(), 1, 1) is None
    assert choose_sides(met, Past(), 1, 1) == ("a",)


@pytest.mark.parametrize("rater", range(40))
def test_gold_is_spread_and_repeats_come_late(rater):
    plan = plan_session(5, rater, items=12, gold=3, repeats=4)
    assert Counter(plan) == {
        AssignmentKind.MAIN: 12,
        AssignmentKind.GOLD: 3,
        AssignmentKind.REPEAT: 4,
    }
    assert plan[0] is AssignmentKind.MAIN
    mains = [plan[: place + 1].count(AssignmentKind.MAIN) for place in range(len(plan))]
    gold = [mains[n] for n, kind in enumerate(plan) if kind is AssignmentKind.GOLD]
    assert all(4 * third <= found <= 4 * third + 4 for third, found in enumerate(gold))
    repeats = [mains[n] for n, kind in enumerate(plan) if kind is AssignmentKind.REPEAT]
    assert min(repeats) >= 6
    assert plan == plan_session(5, rater, items=12, gold=3, repeats=4)


def test_plans_differ_between_raters_and_suit_the_shortest_session():
    assert len({plan_session(5, rater, 12, 3, 4) for rater in range(20)}) > 10
    assert plan_session(5, 1, 1, 0, 0) == (AssignmentKind.MAIN,)
    assert plan_session(5, 1, 1, 1, 0) == (AssignmentKind.MAIN, AssignmentKind.GOLD)


def test_a_repeat_is_an_early_item_and_never_the_last_or_one_twice():
    answered = [Answered(f"t{n}", ("a", "b")) for n in range(8)]
    done = []
    for _ in range(6):
        chosen = choose_repeat(answered, done, 3, 1)
        assert chosen.task not in {*done, "t7"}
        done.append(chosen.task)
    assert set(done[:4]) == {"t0", "t1", "t2", "t3"}
    assert choose_repeat([], [], 3, 1) is None
    assert choose_repeat(answered[:1], ["t0"], 3, 1) is None
