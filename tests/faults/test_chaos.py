"""The short form of the storm; `make chaos` is the long one."""

from pathlib import Path

import pytest

from tests.faults.chaos import Storm, run


@pytest.mark.timeout(900)
async def test_when_everything_goes_wrong_nothing_is_lost_and_nothing_done_twice(tmp_path: Path):
    storm = Storm(
        jobs=40, transcoder_kills=3, gateway_kills=1, broker_restarts=1, cuts=2, store_outages=1, full_disks=1
    )
    report = await run(storm, tmp_path)
    assert not report.faults, report.text()
    assert report.accepted == storm.jobs
    assert report.disturbances["broker restart"] == 1
