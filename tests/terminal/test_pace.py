"""How far jobs are, by the lines that training and probing write."""

import os

import pytest

from natural_sparsity.progress import Progress
from natural_sparsity.terminal.pace import Job, Pace

NOW = 1_000_000.0


def job(tmp_path, text, written=NOW, **fields):
    """A job that began ten seconds ago, whose log has this text."""
    log = tmp_path / "job.log"
    log.write_text(text)
    os.utime(log, (written, written))
    fields = {"rule": "train", "checkpoints": ["epoch3"], "started": NOW - 10, **fields}
    return Job("train: epoch 3 of 8", logs=[str(log)], **fields)


def test_the_share_is_that_of_the_last_line(tmp_path):
    text = "epoch 3:   1%  loss 8.8303  660 tokens/s  206 s left\nepoch 3:  40%  loss 5.1  2,518 tokens/s  6 s left\n"
    assert job(tmp_path, text).share(NOW) == pytest.approx(0.4)


def test_between_two_lines_the_share_grows_as_the_last_one_lets_expect(tmp_path):
    running = job(tmp_path, "epoch 3:  40%  loss 5.1  2,518 tokens/s  1,000 s left\n")
    assert running.share(NOW + 500) == pytest.approx(0.7)
    assert running.share(NOW + 5000) < 1


def test_of_several_checkpoints_those_before_are_done(tmp_path):
    epochs = {"checkpoints": ["epoch5", "epoch6", "epoch7", "epoch16"]}
    assert job(tmp_path, "epoch 6:  50%  loss 1.0  5 t/s  0 s left", **epochs).share(NOW) == pytest.approx(1.5 / 4)
    assert job(tmp_path, "probe of epoch16:  0%  loss 1.0  5 t/s  0 s left", **epochs).share(NOW) == pytest.approx(
        3 / 4
    )


def test_the_log_of_an_earlier_try_does_not_count(tmp_path):
    assert job(tmp_path, "epoch 3:  40%  loss 5.1  2 t/s  6 s left\n", written=NOW - 60).share(NOW) == 0
    assert job(tmp_path, "goes on after step 3\n").share(NOW) == 0
    assert Job("train", "train", [str(tmp_path / "none")], []).share(NOW) == 0


def test_what_progress_writes_is_read(tmp_path, capsys):
    progress = Progress("epoch 3", 100)
    progress.advance(25)
    progress.show(2.5)
    assert job(tmp_path, capsys.readouterr().err).share(NOW) == pytest.approx(0.25)


def test_lines_come_soon_at_first_and_then_rarely(monkeypatch, capsys):
    times = iter(range(1000))
    monkeypatch.setattr("natural_sparsity.progress.time.monotonic", lambda: next(times))
    progress = Progress("epoch 3", 1000)
    for _ in range(200):
        progress.advance(1)
        if progress.due():
            progress.show(2.5)
    assert 6 < capsys.readouterr().err.count("\n") < 14


@pytest.mark.parametrize(
    ("rule", "kind"),
    [("train", "train"), ("train_a_b_1_to_4", "train"), ("probe", "probe"), ("training", ""), ("retrace_a", "")],
)
def test_rules_that_train_or_probe_have_a_bar(rule, kind):
    assert Job("", rule, [], []).kind == kind


def test_the_time_left_is_that_of_the_pace_so_far(tmp_path):
    pace = Pace(total=8, done=2, started=NOW - 250)
    running = [job(tmp_path, "epoch 3:  50%  loss 5.1  2 t/s  0 s left\n")]
    position = pace.position(running, NOW)
    assert (position, pace.left(position, NOW)) == (2.5, 550)
    assert Pace(total=8, started=NOW).left(0, NOW) is None
