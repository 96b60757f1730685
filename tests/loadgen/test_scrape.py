"""What the server tells of itself is read, and nothing else is taken for it."""

from __future__ import annotations

import json

import pytest

from tools.loadgen.scrape import Counted, _reading

TOLD = """\
# HELP wirechat_build_info Always 1; what runs here.
# TYPE wirechat_build_info gauge
wirechat_build_info{version="1.0",python="3.11",engine="sqlite"} 1.0
# HELP wirechat_journal_waiting_entries Entries that wait for the next commit.
# TYPE wirechat_journal_waiting_entries gauge
wirechat_journal_waiting_entries 7.0
# HELP wirechat_batch_entries Entries in one commit.
# TYPE wirechat_batch_entries histogram
wirechat_batch_entries_bucket{le="1.0"} 90.0
wirechat_batch_entries_bucket{le="10.0"} 99.0
wirechat_batch_entries_bucket{le="+Inf"} 100.0
wirechat_batch_entries_count 100.0
wirechat_batch_entries_sum 180.0
# HELP process_resident_memory_bytes Resident memory size in bytes.
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 1.048576e+06
"""


def test_what_a_server_tells_is_read() -> None:
    reading = _reading(TOLD)
    assert reading.build == "wirechat 1.0, Python 3.11, sqlite"
    assert (reading.waiting, reading.mib, reading.cpu_seconds) == (7.0, 1.0, None)
    batches = reading.histograms["batch_entries"]
    assert (batches.count, batches.mean) == (100.0, 1.8)
    assert [batches.bound_of(share) for share in (0.5, 0.99, 0.995)] == [1.0, 10.0, None]


def test_of_two_readings_counts_what_came_between() -> None:
    later = _reading(TOLD.replace('{le="+Inf"} 100.0', '{le="+Inf"} 102.0').replace("_sum 180.0", "_sum 280.0"))
    between = later.histograms["batch_entries"] - _reading(TOLD).histograms["batch_entries"]
    assert (between.count, between.mean) == (2.0, 50.0)
    assert between + _reading(TOLD).histograms["batch_entries"] == later.histograms["batch_entries"]
    assert Counted.from_plain(json.loads(json.dumps(between.as_plain()))) == between


@pytest.mark.parametrize("text", ["", "<html>", "up 1.0", TOLD.replace("wirechat_build", "other_build")])
def test_another_server_is_noticed(text: str) -> None:
    with pytest.raises(ValueError, match=r"another server|invalid metric name"):
        _reading(text)
