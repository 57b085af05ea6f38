"""The roll call of a training on several nodes, over loopback: who is there, what differs, whose checkpoint is the newest."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from poseline.errors import BackendError, ConfigError, PoselineError
from poseline.progress import working
from poseline.train import roll_call
from poseline.train.checkpoint import Progress, checkpoint_file, previous_file, read_newest, save_checkpoint
from poseline.train.companions import Companions, Membership
from poseline.train.interrupt import Interrupt
from poseline.train.newest import level, marked, offer
from poseline.train.node_facts import ADVICE, Facts
from poseline.train.roll_call import Joiner, call_nodes, report_in, telling
from poseline.train.scheduler import find_place
from poseline.train.wire import Channel, Message, Plan, free_port, interface_of, listen, parse_address

VALUES = {
    "git commit": "aaaa", "uncommitted changes": "", "training code": "c1", "poseline": "0.1.0", "torch": "2.6.0", "kind of device": "cpu",
    "processes of a node": "1", "data/processed": "d1",
}  # fmt: skip
FACTS = Facts(values=VALUES, params={"seed": "1", "train.epochs": "3", "model.width": "0.5"})
Where = tuple[str, int]


@pytest.fixture
def where() -> Where:
    return "127.0.0.1", free_port()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def hello(facts: Facts = FACTS, **changes: object) -> Message:
    return Message.model_validate({"kind": "hello", "facts": facts, "host": "other", **changes})


def error_of(future: Future[object]) -> str:
    with pytest.raises(PoselineError) as caught:
        future.result(30)
    assert "\n" not in str(caught.value)
    return f"{caught.value.exit_code}: {caught.value}"


def meet(pool: ThreadPoolExecutor, where: Where, other: Message) -> tuple[str, str]:
    """What both sides say when a node in another state comes."""
    first = pool.submit(call_nodes, where, FACTS, 2, 20.0, Interrupt())
    second = pool.submit(report_in, where, other, 20.0, Interrupt())
    return error_of(first), error_of(second)


@pytest.mark.parametrize("name", [*VALUES, "train.epochs", "seed"])
def test_each_difference_is_one_line_on_both_sides(name: str, where: Where, pool: ThreadPoolExecutor) -> None:
    if name in VALUES:
        facts = FACTS.model_copy(update={"values": {**VALUES, name: "ELSE"}})
        mine = VALUES[name] or "none"
    else:
        facts, mine = FACTS.model_copy(update={"params": {**FACTS.params, name: "ELSE"}}), FACTS.params[name]
    first, second = meet(pool, where, hello(facts))
    assert first.startswith(f"2: train: other (127.0.0.1) cannot take part: {name} is {mine} here, ELSE there. ")
    assert second.startswith(f"2: join: node 0 at 127.0.0.1:{where[1]} refuses: {name} is ELSE here, {mine} there. ")
    if name in ADVICE:
        assert ADVICE[name][1:] in first
        assert ADVICE[name][1:] in second


def test_many_differences_stay_one_line_and_a_parameter_that_one_side_lacks_is_none(where: Where, pool: ThreadPoolExecutor) -> None:
    first, _ = meet(pool, where, hello(Facts(values={**VALUES, "torch": "2.7.0"}, params={})))
    assert "torch is 2.6.0 here, 2.7.0 there; seed is 1 here, none there; train.epochs is 3 here, none there; 1 more differ. " in first


def test_other_code_takes_part_where_that_is_asked_for_but_no_other_difference(where: Where, pool: ThreadPoolExecutor) -> None:
    code = {"git commit": "bbbb", "uncommitted changes": "dirty", "training code": "c2"}
    first = pool.submit(call_nodes, where, FACTS, 2, 20.0, Interrupt())
    second = pool.submit(report_in, where, hello(Facts(values={**VALUES, **code}, params=FACTS.params), any_code=True), 20.0, Interrupt())
    listener, joined = first.result(30)
    assert [one.host for one in joined] == ["other"]
    joined[0].channel.send(Message(kind="plan", plan=Plan(node=1, nodes=2, port=1, run="r", mark="m", params="")))
    channel, plan, _ = second.result(30)
    assert (plan.node, plan.nodes) == (1, 2)
    channel.close()
    listener.close()


def test_nobody_joins_or_node_0_is_not_there(where: Where, pool: ThreadPoolExecutor) -> None:
    started = time.monotonic()
    assert f"3: train: nobody joined at 127.0.0.1:{where[1]} in 1 s: 1 of 3 nodes are there. On the others run: poseline join" in error_of(
        pool.submit(call_nodes, where, FACTS, 3, 0.6, Interrupt())
    )
    said = error_of(pool.submit(report_in, where, hello(), 0.6, Interrupt()))
    assert said.startswith(f"3: join: node 0 at 127.0.0.1:{where[1]} did not answer in 1 s (Connection refused). Start training there")
    assert time.monotonic() - started < 10


def test_where_one_of_two_is_missing_both_that_are_there_give_up_with_a_line(where: Where, pool: ThreadPoolExecutor) -> None:
    first = pool.submit(call_nodes, where, FACTS, 3, 2.0, Interrupt())
    second = pool.submit(report_in, where, hello(), 20.0, Interrupt())
    assert "3: train: only other (127.0.0.1) joined at" in error_of(first)
    assert error_of(second).startswith("3: join: node 0 ended before the training began: only other (127.0.0.1) joined at")


def test_a_port_in_use_is_a_line_on_both_sides(where: Where, pool: ThreadPoolExecutor) -> None:
    with socket.create_server(where) as server:

        def answer() -> None:
            connection, _ = server.accept()
            connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()

        pool.submit(answer)
        assert f"3: train.rendezvous: 127.0.0.1:{where[1]} is in use by another process" in error_of(
            pool.submit(call_nodes, where, FACTS, 2, 5.0, Interrupt())
        )
        assert "3: join: what listens at" in error_of(pool.submit(report_in, where, hello(), 5.0, Interrupt()))


def test_an_address_of_another_machine_names_the_command_for_the_others() -> None:
    with pytest.raises(BackendError, match=r"192\.0\.2\.1:29500 is no address of this machine .*poseline join 192\.0\.2\.1:29500$"):
        listen("192.0.2.1", 29500)
    with pytest.raises(BackendError, match=r"no-such-host\.invalid:29500: "):
        listen("no-such-host.invalid", 29500)


@pytest.mark.parametrize("text", [None, "", "host", "host:", ":1", "host:0", "host:65536", "host:x", "ho st:1"])
def test_what_is_no_address_says_so(text: str | None) -> None:
    with pytest.raises(ConfigError, match=r"^train\.rendezvous: expected HOST:PORT"):
        parse_address(text, "train.rendezvous")


def test_both_sides_say_again_and_again_whom_they_wait_for(
    where: Where, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(roll_call, "EVERY_S", 0.3)
    first = pool.submit(call_nodes, where, FACTS, 3, 2.5, Interrupt())
    second = pool.submit(report_in, where, hello(), 20.0, Interrupt())
    error_of(first)
    error_of(second)
    said = capsys.readouterr().err
    assert said.count(f"waits for 1 of 3 nodes. On each run: poseline join 127.0.0.1:{where[1]} (gives up in ") >= 3
    assert said.count("waits for the other nodes (gives up in ") >= 3
    assert "other (127.0.0.1) joined: 2 of 3 nodes are there" in said


def test_strangers_do_not_disturb_and_a_node_that_left_is_no_longer_counted(
    where: Where, pool: ThreadPoolExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    first = pool.submit(call_nodes, where, FACTS, 3, 30.0, Interrupt())
    stranger = connected(where)
    stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
    gone = Channel(connected(where))
    gone.send(hello(host="gone"))
    assert gone.receive(10).kind == "accepted"
    gone.close()
    stays = []
    for name, place in (("b", 2), ("a", 1)):
        channel = Channel(connected(where))
        channel.send(hello(host=name, place=place))
        assert channel.receive(10).kind == "accepted"
        stays.append(channel)
    listener, joined = first.result(30)
    assert [(one.node, one.host) for one in joined] == [(1, "a"), (2, "b")], "numbers of a scheduler are kept"
    assert "gone (127.0.0.1) left again" in capsys.readouterr().err
    listener.close()


def connected(where: Where) -> socket.socket:
    for _ in range(200):
        try:
            return socket.create_connection(where, timeout=10)
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise AssertionError("nobody listens")


# ---- checkpoints


def save(folder: Path, epoch: int, step: int, value: float) -> None:
    save_checkpoint(checkpoint_file(folder), Progress(epoch=epoch, step=step), {"model": {"w": torch.full((5000,), value)}})


def weight(folder: Path) -> float:
    found = read_newest(checkpoint_file(folder))
    assert found is not None
    return float(found[1]["model"]["w"][0])


def pair(host: str = "other", node: int = 1) -> tuple[Joiner, Channel]:
    """Node 0's end of a connection, and the other node's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    return Joiner(Channel(ours), host, node=node), Channel(theirs)


def exchange(pool: ThreadPoolExecutor, mine: Path, others: list[Path], mark: str = "m") -> list[bool]:
    pairs = [pair(f"host{number}", number) for number in range(1, len(others) + 1)]
    offers = [pool.submit(offer, channel, folder, mark) for (_, channel), folder in zip(pairs, others, strict=True)]
    try:
        level([joiner for joiner, _ in pairs], mine)
    except PoselineError:
        for joiner, _ in pairs:
            joiner.channel.close()
        raise
    return [one.result(30) for one in offers]


def test_the_newest_checkpoint_of_any_node_is_brought_to_all(
    tmp_path: Path, pool: ThreadPoolExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, one, two = (tmp_path / name / "run" for name in ("n0", "n1", "n2"))
    save(mine, 1, 7, 0.5)
    save(two, 2, 3, 1.5)
    assert exchange(pool, mine, [one, two]) == [False, False]
    assert {weight(folder) for folder in (mine, one, two)} == {1.5}
    said = capsys.readouterr().err
    assert "the newest checkpoint, 2 epochs and 3 steps, is that of node 2 (host2, 127.0.0.1): taken" in said
    save(mine, 2, 9, 2.5)
    exchange(pool, mine, [one, two])
    assert {weight(folder) for folder in (mine, one, two)} == {2.5}
    said = capsys.readouterr().err
    assert "the newest checkpoint, 2 epochs and 9 steps, is here, on node 0" in said
    assert said.count("takes node 0's checkpoint: 2 epochs and 9 steps") == 2


def test_a_damaged_checkpoint_counts_as_none_and_is_replaced(
    tmp_path: Path, pool: ThreadPoolExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, other = tmp_path / "n0/run", tmp_path / "n1/run"
    save(mine, 1, 0, 0.5)
    save(other, 1, 0, 0.5)
    save(other, 3, 0, 3.5)
    checkpoint_file(other).write_bytes(checkpoint_file(other).read_bytes()[:100])
    exchange(pool, mine, [other])
    assert weight(mine) == weight(other) == 0.5
    assert "not a readable checkpoint" in capsys.readouterr().err
    for folder in (mine, other):
        checkpoint_file(folder).write_bytes(b"no")
        previous_file(checkpoint_file(folder)).unlink(missing_ok=True)
    with pytest.raises(PoselineError, match=r"checkpoint\.pt: not a readable checkpoint, and no other node has one\. Delete it"):
        exchange(pool, mine, [other])


def test_a_start_from_nothing_beside_other_runs_is_said(
    tmp_path: Path, pool: ThreadPoolExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, other = tmp_path / "n0/run", tmp_path / "n1/run"
    exchange(pool, mine, [other])
    assert capsys.readouterr().err == ""
    save(tmp_path / "n1/of-other-parameters", 4, 0, 1.0)
    exchange(pool, mine, [other])
    assert "starts from nothing: no node has a checkpoint of this run, but 1 of other parameters, data or code" in capsys.readouterr().err


def test_a_node_on_node_0s_disk_sends_and_takes_nothing(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    folder = tmp_path / "run"
    with marked(folder) as mark:
        save(folder, 1, 0, 0.5)
        assert exchange(pool, folder, [folder], mark) == [True]
    assert [one.name for one in folder.iterdir()] == ["checkpoint.pt"]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_while_training_checkpoints_are_copied_a_third_node_is_refused_and_an_end_is_heard(
    tmp_path: Path, where: Where, pool: ThreadPoolExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, other = tmp_path / "n0/run", tmp_path / "n1/run"
    joiner, channel = pair()
    listener = listen(*where)
    member = Membership(channel, other, Interrupt())
    loads: list[tuple[str, dict[str, float]]] = []
    companions = Companions([joiner], listener, mine, lambda host, values: loads.append((host, values)))
    with pytest.raises(BackendError), telling([joiner], listener), companions:
        save(mine, 0, 1, 0.5)
        until(lambda: checkpoint_file(other).is_file() and weight(other) == 0.5)
        assert "2: join: node 0 at" in error_of(pool.submit(report_in, where, hello(), 5.0, Interrupt()))
        until(lambda: "other (127.0.0.1) wanted to join and was refused: all 2 nodes are there" in capsys.readouterr().err)
        member.send_load({"system/cpu": 5.0})
        member.send_load({"system/cpu": 7.0})
        until(lambda: loads == [("other", {"system/cpu": 5.0}), ("other", {"system/cpu": 7.0})])
        member.say_end(3, "rank 1 was killed")
        until(companions.stopped)
        assert companions.trouble is not None
        assert companions.trouble.text == "node 1 (other, 127.0.0.1): rank 1 was killed"
        save(mine, 0, 2, 1.5)
        raise BackendError("train: all over")
    ended = member.last_words(10.0)
    assert ended is not None
    assert (ended.code, ended.text) == (3, "all over")
    assert weight(other) == 1.5, "what was saved last is copied too"
    assert member.trouble()


def test_a_node_that_vanishes_is_named_and_a_good_end_removes_the_copies(tmp_path: Path) -> None:
    joiner, channel = pair()
    with Companions([joiner], None, tmp_path / "n0") as companions:
        channel.close()
        until(companions.stopped)
        assert companions.first_cause() is not None
        assert companions.trouble is not None
        assert companions.trouble.text == "node 1 (other, 127.0.0.1) is gone"
    joiner, channel = pair()
    copies = tmp_path / "n1/run"
    save(copies, 1, 0, 0.5)
    member = Membership(channel, copies, Interrupt())
    listener = listen("127.0.0.1", free_port())
    with telling([joiner], listener):
        pass
    assert member.last_words(10.0) is not None
    until(lambda: not copies.exists())
    assert not member.trouble()


def test_a_full_disk_of_a_node_costs_its_copy_and_no_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    joiner, channel = pair()
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    member = Membership(channel, blocked / "run", Interrupt())
    mine = tmp_path / "n0/run"
    with telling([joiner], listen("127.0.0.1", free_port())), working("join"), Companions([joiner], None, mine):
        save(mine, 0, 1, 0.5)
        until(lambda: "goes on without a copy" in capsys.readouterr().err)
        assert not member.trouble()
    ended = member.last_words(10.0)
    assert ended is not None
    assert ended.code == 0


# ---- schedulers


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"SLURM_NNODES": "2", "SLURM_JOB_ID": "7"}, None),  # inside salloc, not under srun
        ({"SLURM_PROCID": "0", "SLURM_NODEID": "0", "SLURM_NNODES": "1"}, None),
        ({"SLURM_PROCID": "5", "SLURM_NODEID": "1", "SLURM_LOCALID": "1", "SLURM_NNODES": "2", "SLURM_NTASKS": "8"}, (1, 2, 1, None)),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, (1, 2, 0, None)),
        ({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "LOCAL_RANK": "1"}, (1, 2, 1, None)),
        (
            {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1", "GROUP_RANK": "1", "GROUP_WORLD_SIZE": "2", "MASTER_ADDR": "h",
             "MASTER_PORT": "1", "TORCHELASTIC_RUN_ID": "x"},
            (1, 2, 0, None),
        ),
        ({"RANK": "0", "WORLD_SIZE": "3", "MASTER_ADDR": "job-0", "MASTER_PORT": "23456", "SLURM_PROCID": "9"}, (0, 3, 0, "job-0:23456")),
    ],
)  # fmt: skip
def test_a_place_under_a_scheduler(environment: dict[str, str], expected: tuple[object, ...] | None) -> None:
    found = find_place(environment)
    assert (found and (found.node, found.nodes, found.local, found.address)) == expected


@pytest.mark.parametrize("environment", [{"RANK": "x", "WORLD_SIZE": "2"}, {"RANK": "2", "WORLD_SIZE": "2"}, {"SLURM_PROCID": "-1"}])
def test_a_scheduler_that_says_nonsense_is_an_error(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="scheduler"):
        find_place(environment)


def test_the_interface_of_an_address() -> None:
    assert interface_of("127.0.0.1") == "lo"
    assert interface_of("192.0.2.1") is None
    assert interface_of("::1") is None
