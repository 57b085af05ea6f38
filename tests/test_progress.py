"""Lines and bars that say how far a long piece of work is."""

from __future__ import annotations

import io
import re
import threading
import time
from collections.abc import Iterator

import pytest

from poseline import progress
from poseline.errors import ConfigError
from poseline.progress import Meter, follow, phase, significant, working


@pytest.fixture(autouse=True)
def loud() -> Iterator[None]:
    before = progress.is_silent() and progress._speaker.silent
    progress.silence(False)
    yield
    progress.silence(bool(before))


def test_a_line_comes_when_it_is_due_and_no_sooner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("POSELINE_PROGRESS", "0.2")
    with Meter("poses", 1000, "images") as meter:
        for _ in range(500):
            meter.add()
        assert capsys.readouterr().err == ""
        time.sleep(0.25)
        meter.add()
    said = capsys.readouterr().err
    assert re.fullmatch(r"poses: 501/1,000 images  \d+ images/s  \d+ s left\n", said)


def test_values_are_read_only_for_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("POSELINE_PROGRESS", "0.2")
    asked: list[int] = []

    def values() -> dict[str, float]:
        asked.append(1)
        return {"loss": 0.0005, "acc": 0.75}

    with Meter("epoch 1/2", 100, "images", values=values, ahead=100) as meter:
        for _ in range(50):
            meter.add()
        assert not asked
        time.sleep(0.25)
        meter.add()
        meter.add()
    assert asked == [1]
    said = capsys.readouterr().err
    assert "loss 0.000500  acc 0.750" in said
    assert "left in all" in said


def test_the_fraction_of_time_that_data_kept_the_work_waiting_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSELINE_PROGRESS", "0.1")

    def slow() -> Iterator[int]:
        for item in range(4):
            time.sleep(0.06)
            yield item

    with Meter("poses", 4, "images") as meter:
        for _ in meter.timed(slow()):
            meter.add()
    found = re.search(r"data wait (\d+)%", capsys.readouterr().err)
    assert found is not None
    assert int(found[1]) > 80


def test_work_without_a_meter_and_a_long_step_show_that_they_live(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSELINE_PROGRESS", "0.1")
    with working("score@coco"):
        time.sleep(0.4)
        with phase("1,000 resamples"):
            time.sleep(0.3)
        with Meter("tracks", 3, "videos") as meter:
            meter.add()
            time.sleep(0.4)
    said = capsys.readouterr().err.splitlines()
    assert any(re.fullmatch(r"score@coco: at work, \d+ s", line) for line in said)
    assert any(re.fullmatch(r"score@coco: 1,000 resamples, \d+ s", line) for line in said)
    assert any(line.startswith("score@coco: tracks: 1/3 videos") for line in said)
    time.sleep(0.3)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("setting", ["0", "off"])
def test_it_can_be_turned_off(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], setting: str) -> None:
    monkeypatch.setenv("POSELINE_PROGRESS", setting)
    with working("score"):
        assert list(follow(range(3), "poses", total=3)) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_json_silences_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("POSELINE_PROGRESS", "0.01")
    progress.silence(True)
    for _ in follow(range(3), "poses", total=3):
        time.sleep(0.02)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("setting", ["soon", "-1", "inf", "nan"])
def test_a_wrong_interval_is_refused(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv("POSELINE_PROGRESS", setting)
    with pytest.raises(ConfigError, match="POSELINE_PROGRESS"):
        Meter("poses", 3, "images")


def test_threads_may_count_at_once() -> None:
    with Meter("poses", 8000, "images") as meter:
        threads = [threading.Thread(target=lambda: [meter.add() for _ in range(1000)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert meter.done == 8000


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setenv("POSELINE_PROGRESS", "0.05")
    monkeypatch.setattr("sys.stderr", terminal)
    with working("train"), Meter("epoch 1/2", 100, "images", values=lambda: {"loss": 0.000512}) as meter:
        for _ in range(4):
            time.sleep(0.06)
            meter.add(25)
    said = terminal.getvalue()
    assert "\r" in said
    assert "loss 0.000512" in said
    assert "100/100" in said


@pytest.mark.parametrize("exponent", range(-8, 5))
def test_three_digits_are_shown_of_any_loss(exponent: int) -> None:
    text = significant(1.2345 * 10.0**exponent)
    assert float(text) == pytest.approx(1.2345 * 10.0**exponent, rel=5e-3)
    assert len(text.split("e")[0].replace(".", "").strip("0")) == 3 or exponent >= 2
