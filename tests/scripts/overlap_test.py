"""scripts/gpu/overlap.py: the share of transfers that computation hides, on traces that can be counted by hand."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "gpu"))
from overlap import common, overlap, union  # noqa: E402


def event(rank, kind, begin, end, name=""):
    return {"name": name, "cat": kind, "ph": "X", "ts": begin, "dur": end - begin, "pid": rank, "tid": 0}


def trace(*events):
    return {"traceEvents": [{"name": "process_name", "ph": "M", "pid": 0, "tid": 0, "args": {}}, *events]}


class Overlap(unittest.TestCase):
    def test_time_counts_once(self):
        self.assertEqual(union([(5, 7), (1, 3), (2, 4), (4, 5), (9, 9)]), [[1, 7], [9, 9]])
        self.assertEqual(common([[0, 4], [6, 9]], [[3, 7], [8, 12]]), [(3, 4), (6, 7), (8, 9)])
        self.assertEqual(common([[0, 4]], [[4, 5]]), [])

    def test_part_of_a_transfer_beside_computation(self):
        self.assertEqual(overlap(trace(event(0, "compute", 0, 3000), event(0, "transfer", 1000, 5000))), (0.5, 4.0, 1))

    def test_transfers_on_two_streams_are_one_stretch(self):
        got = overlap(trace(event(0, "compute", 0, 2000), event(0, "transfer", 0, 2000),
                            event(0, "transfer", 1000, 4000)))
        self.assertEqual(got, (0.5, 4.0, 2))

    def test_only_computation_of_the_same_rank_counts(self):
        got = overlap(trace(event(0, "compute", 0, 1000), event(0, "bubble", 1000, 2000), event(1, "transfer", 0, 1000),
                            event(0, "transfer", 500, 1500)))
        self.assertEqual(got, (0.25, 2.0, 2))

    def test_transfers_are_chosen_by_name(self):
        events = trace(event(0, "compute", 0, 100), event(0, "transfer", 0, 100, "all_reduce sum over dp x sp of llm"),
                       event(0, "transfer", 200, 500, "all_reduce sum over world"))
        self.assertEqual(overlap(events, "over dp"), (1.0, 0.1, 1))
        self.assertEqual(overlap(events, "over"), (0.25, 0.4, 2))

    def test_without_transfers_there_is_none(self):
        self.assertEqual(overlap(trace(event(0, "compute", 0, 100))), (0.0, 0.0, 0))


if __name__ == "__main__":
    unittest.main()
