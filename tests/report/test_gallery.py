from __future__ import annotations

import numpy as np

from poseline.report.gallery import choose_cases


def test_nobody_is_shown_twice_and_the_groups_are_in_order() -> None:
    oks = np.random.default_rng(0).random(50)
    chosen = choose_cases(oks, 12)
    assert [len(group) for group in chosen.values()] == [4, 4, 4]
    assert len({place for group in chosen.values() for place in group}) == 12
    assert chosen["best"][0] == oks.argmax()
    assert chosen["worst"][0] == oks.argmin()
    assert abs(np.median(oks[chosen["median"]]) - np.median(oks)) < 0.1


def test_few_people_give_few_pictures() -> None:
    assert sum(len(group) for group in choose_cases(np.array([0.3, 0.2, 0.1]), 12).values()) == 3
    assert choose_cases(np.array([0.3]), 12) == {"best": [], "median": [], "worst": []}
    assert choose_cases(np.zeros(0), 12) == {"best": [], "median": [], "worst": []}
