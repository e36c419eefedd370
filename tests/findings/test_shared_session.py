"""What several threads ask of one graph while it is busy goes through it together."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from tests.patience import PATIENCE
from tetkik.findings.onnx_model import MOST, SharedSession


class Graph:
    """Doubles its input; keeps the first run until it is let go, and refuses a 99."""

    outputs: tuple[str, ...] = ("scores",)

    def __init__(self):
        self.batches, self.go, self.begun = [], threading.Event(), threading.Event()

    def run(self, names, batch):
        self.batches.append(len(batch))
        self.begun.set()
        assert self.go.wait(PATIENCE)
        if 99 in batch:
            raise RuntimeError("99")
        return (batch * 2,)


def asked(session, numbers, answers):
    """A thread for each number, that asks for it."""

    def ask(number):
        batch = np.full((1, 1, 2, 2), number, np.float32)
        try:
            answers[number] = session.run(("scores",), batch)[0]
        except RuntimeError as fault:
            answers[number] = str(fault)

    threads = [threading.Thread(target=ask, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    return threads


@pytest.fixture
def held():
    """A session whose graph is busy with the number 0."""
    graph = Graph()
    answers: dict[int, object] = {}
    session = SharedSession(graph)
    first = asked(session, [0], answers)
    assert graph.begun.wait(PATIENCE)
    return session, graph, answers, first


def finish(session, graph, threads, waiting):
    while len(session._waiting) < waiting:
        pass
    graph.go.set()
    for thread in threads:
        thread.join(PATIENCE)


def test_who_comes_while_it_is_busy_goes_along_with_the_next_run(held):
    session, graph, answers, first = held
    threads = asked(session, range(1, MOST + 3), answers)
    finish(session, graph, first + threads, MOST + 2)
    assert graph.batches == [1, MOST, 2]
    assert all((answers[number] == 2 * number).all() for number in range(MOST + 3))
    assert all(answer.shape == (1, 1, 2, 2) for answer in answers.values())


def test_a_fault_is_told_to_whom_it_concerns_alone(held):
    session, graph, answers, first = held
    threads = asked(session, [98, 99, 100], answers)
    finish(session, graph, first + threads, 3)
    assert answers[99] == "99" and (answers[98] == 196).all() and (answers[100] == 200).all()


def test_other_outputs_and_shapes_are_runs_of_their_own(held):
    session, graph, _, first = held
    given = [(("scores",), (1, 1, 3, 3)), (("scores", "maps"), (1, 1, 2, 2)), (("scores",), (2, 1, 2, 2))]
    threads = [
        threading.Thread(target=session.run, args=(names, np.zeros(shape, np.float32)))
        for names, shape in given
    ]
    for thread in threads:
        thread.start()
    finish(session, graph, first + threads, 3)
    assert sorted(graph.batches) == [1, 1, 1, 2]
