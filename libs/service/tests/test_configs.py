"""What changes between two configurations."""

from libs.service.configs import differences


def test_differences_name_each_place_that_changes() -> None:
    before = {"zone": "UTC", "assets": {"coins": {"scale": 0}}, "same": 1}
    after = {"zone": "Asia/Riyadh", "assets": {"coins": {"scale": 0}, "gems": {"scale": 2}}, "same": 1}
    assert differences(before, after) == [
        {"path": "assets.gems", "before": None, "after": {"scale": 2}},
        {"path": "zone", "before": "UTC", "after": "Asia/Riyadh"},
    ]
