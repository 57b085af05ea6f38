"""What must be the same on all nodes of a training run, and how a difference is said."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

SHOWN = 3
ADVICE = {
    "git commit": "check the same commit out on both, or join with --any-code",
    "uncommitted changes": "commit them and check that commit out on both, or join with --any-code",
    "training code": "install the same poseline on both, or join with --any-code",
    "data/processed": "on the node that is behind, run: dvc pull data/processed",
    "kind of device": "give the same --device on both",
    "processes of a node": "set train.processes to a number that both have",
}
OF_CODE = ("git commit", "uncommitted changes", "training code")


class Facts(BaseModel):
    """The state of a node.

    Attributes:
        values: what is compared, by its name; an empty text: there is none.
        params: the parameters that decide the result of training, flat, as text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    values: dict[str, str]
    params: dict[str, str]


def differences(first: Facts, other: Facts, *, any_code: bool = False) -> list[tuple[str, str, str]]:
    """Name, value on the first node and value on the other of all that differs.

    Args:
        first: of node 0.
        other: of the node that wants to join.
        any_code: leave out commit, uncommitted changes and code.
    """
    names = dict.fromkeys([*first.values, *other.values])
    pairs = [(name, first.values.get(name, ""), other.values.get(name, "")) for name in names if not (any_code and name in OF_CODE)]
    keys = dict.fromkeys([*first.params, *other.params])
    pairs += [(key, first.params.get(key, ""), other.params.get(key, "")) for key in keys]
    return [(name, one, two) for name, one, two in pairs if one != two]


def describe_differences(found: list[tuple[str, str, str]], *, on_first: bool) -> str:
    """The differences as one of the two nodes says them, in one line, with what to do.

    >>> describe_differences([("train.epochs", "3", "5")], on_first=True)
    'train.epochs is 3 here, 5 there. Give the same parameters on both (node 0 decides).'
    """
    here, there = (1, 2) if on_first else (2, 1)
    said = [f"{one[0]} is {one[here] or 'none'} here, {one[there] or 'none'} there" for one in found[:SHOWN]]
    more = f"; {len(found) - SHOWN} more differ" if len(found) > SHOWN else ""
    advice = next((ADVICE[one[0]] for one in found if one[0] in ADVICE), None)
    if advice is None:
        of_params = "." in found[0][0] or found[0][0] == "seed"
        advice = "give the same parameters on both (node 0 decides)" if of_params else f"install the same {found[0][0]} on both"
    return f"{'; '.join(said)}{more}. {advice[0].upper()}{advice[1:]}."
