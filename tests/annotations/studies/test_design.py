"""The design as pure functions: balance by construction, all chance from the seed."""

import random
from collections import Counter

import pytest

from annotations.studies.design import (
    Answered,
    Candidate,
    Past,
    choose_repeat,
    choose_sides,
    choose_task,
    part_of,
    plan_session,
)
from annotations.values import AssignmentKind

PAIRS = (("base", "lora"), ("base", "full"), ("lora", "full"))
LABELS = ("anger", "grief")
ITEMS, NEEDED, RATERS, EACH = 70, 5, 25, 40


def turns():
    """Everybody takes one item after the other, all at the same pace."""
    return [rater for _ in range(EACH) for rater in range(RATERS)]


def one_by_one():
    """Each works through a session before the next one comes."""
    return [rater for rater in range(RATERS) for _ in range(EACH)]


def mingled():
    """People come and go as they like."""
    return random.Random(3).sample(one_by_one(), RATERS * EACH)


def simulate(seed, order):
    """1,000 assignments: (rater, task, first arm, place in the rater's session) of each."""
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
    places = {task.id: [] for task in tasks}
    given = []
    for rater in order():
        past = Past(frozenset(met[rater]), strata[rater], sides[rater])
        place = len(met[rater]) + 1
        part = part_of(place, EACH, NEEDED)
        now = [
            Candidate(t.id, t.item, t.stratum, t.arms, t.needed, f.total(), f, here)
            for t in tasks
            for f in (firsts[t.id],)
            for here in (sum(one in part for one in places[t.id]),)
        ]
        task = choose_task(now, past, seed, rater)
        shown = choose_sides(task, past, seed, rater)
        assert set(shown) == set(task.arms)
        met[rater].add(task.item)
        strata[rater][task.stratum] += 1
        sides[rater][task.stratum, shown[0]] += 1
        firsts[task.id][shown[0]] += 1
        places[task.id].append(place)
        given.append((rater, task, shown[0], place))
    return given


@pytest.fixture(scope="module", params=[turns, one_by_one, mingled])
def given(request):
    return simulate(7, request.param)


def test_sides_differ_by_one_at_most_for_each_rater_and_stratum(given):
    assert len(given) == 1000
    sides = Counter((rater, task.stratum, first) for rater, task, first, _ in given)
    for rater in range(RATERS):
        for stratum, arms in {(task.stratum, task.arms) for _, task, *_ in given}:
            left, right = (sides[rater, stratum, arm] for arm in arms)
            assert abs(left - right) <= 1, (rater, stratum)


def test_no_task_is_given_too_often_and_nobody_meets_an_item_twice(given):
    assert max(Counter(task.id for _, task, *_ in given).values()) <= NEEDED
    assert max(Counter((rater, task.item) for rater, task, *_ in given).values()) == 1


def test_strata_fill_alike_and_every_rater_gets_all_of_them(given):
    strata = Counter(task.stratum for _, task, *_ in given)
    assert max(strata.values()) - min(strata.values()) <= 1
    mine = Counter((rater, task.stratum) for rater, task, *_ in given)
    assert len(mine) == RATERS * 6
    assert set(mine.values()) <= {6, 7}  # 40 items over six strata


def imbalance(firsts):
    """How far the two sides of a task are apart, on average over tasks."""
    tasks = {task for task, _ in firsts}
    return sum(abs(firsts[task, 0] - firsts[task, 1]) for task in tasks) / len(tasks)


def test_sides_of_one_task_are_balanced_over_raters_too(given):
    firsts = Counter((task.id, task.arms.index(first)) for _, task, first, _ in given)
    coin = random.Random(5)
    tossed = Counter((task.id, coin.randrange(2)) for _, task, *_ in given)
    assert imbalance(firsts) < 1.2  # five raters cannot be nearer than one
    assert imbalance(tossed) > 1.6  # what a coin would do


def test_a_task_stands_in_another_part_of_the_session_for_each_of_its_raters(given):
    parts = Counter((task.id, part_of(place, EACH, NEEDED)) for _, task, _, place in given)
    differences = Counter()
    for task in {task.id for _, task, *_ in given}:
        counts = [parts[task, part_of(place, EACH, NEEDED)] for place in range(1, EACH + 1, 8)]
        assert len(counts) == NEEDED
        differences[max(counts) - min(counts)] += 1
    assert max(differences) <= 2
    assert differences[2] <= 0.05 * differences.total()  # left to chance, it is over a quarter


def test_strata_take_turns_within_a_session(given):
    names = {task.stratum for _, task, *_ in given}
    for rater in range(RATERS):
        seen = Counter(dict.fromkeys(names, 0))
        for task in (task for who, task, *_ in given if who == rater):
            seen[task.stratum] += 1
            assert max(seen.values()) - min(seen.values()) <= 1, (rater, seen)


@pytest.mark.parametrize(("items", "raters"), [(40, 5), (10, 3), (7, 3), (2, 9), (5, 1)])
def test_parts_of_a_session_are_alike_and_leave_no_place_out(items, raters):
    parts = dict.fromkeys(part_of(place, items, raters) for place in range(1, items + 1))
    assert [place for part in parts for place in part] == list(range(1, items + 1))
    assert len(parts) == min(items, raters)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert items + 3 in part_of(items + 3, items, raters)


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
