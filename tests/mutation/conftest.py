"""The table of what caught which mutation, after the tests."""

from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    caught = [
        (report.nodeid.partition("[")[2].removesuffix("]"), dict(report.user_properties)["caught by"])
        for report in terminalreporter.getreports("passed")
        if "caught by" in dict(report.user_properties)
    ]
    if caught:
        terminalreporter.section("mutations")
        for name, test in caught:
            terminalreporter.write_line(f"{name:52} {test}")
