"""The hourly weather file: what is taken from it, and what is refused by line."""

import json
from pathlib import Path

import pytest

from twin.setup.weather import WeatherError, read_weather

HEADING = "hour,dry_bulb_celsius,wet_bulb_celsius\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "weather.csv"
    path.write_text(text, "utf-8")
    return path


def refused(folder: Path, text: str) -> str:
    with pytest.raises(WeatherError) as caught:
        read_weather(written(folder, text))
    return str(caught.value)


def test_hours_become_seconds(tmp_path):
    text = "note,wet_bulb_celsius,hour,dry_bulb_celsius\nnight,9.5,0,12\nday,20,1.5,31\n"
    assert read_weather(written(tmp_path, text)) == ((0.0, 12.0, 9.5), (5400.0, 31.0, 20.0))


def test_dates_count_from_the_first_row_in_any_zone(tmp_path):
    heading = HEADING.replace("hour", "time")
    text = heading + "2024-03-31 01:00,10,8\n2024-03-31T02:00:00,11,9\n2024-03-31T05:00:00+02:00,12,9\n"
    assert [row[0] for row in read_weather(written(tmp_path, text))] == [0.0, 3600.0, 7200.0]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1,nan,9", ("line 3, dry_bulb_celsius = 'nan'", "not a finite number")),
        ("1,inf,9", ("line 3, dry_bulb_celsius = 'inf'", "not a finite number")),
        ("1,12,", ("line 3, wet_bulb_celsius = ''", "take the row out")),
        ("1,12", ("line 3, wet_bulb_celsius = ''",)),
        ("1,12,14", ("line 3, wet_bulb_celsius = 14.0", "above the dry bulb", "swapped")),
        ("0,12,9", ("line 3, hour = '0'", "not after the row before", "Sort")),
        ("1,290,285", ("line 3, dry_bulb_celsius = 290.0", "from -60 to 60")),
    ],
)
def test_a_wrong_row_is_named_by_line(tmp_path, row, words):
    message = refused(tmp_path, HEADING + "0,20,14\n" + row + "\n")
    assert str(tmp_path / "weather.csv") in message
    for word in words:
        assert word in message


def test_every_fault_is_listed_and_many_are_counted(tmp_path):
    assert refused(tmp_path, HEADING + "0,x,9\n0,10,12\n").count("\n") == 2
    many = refused(tmp_path, HEADING + "".join(f"{hour},x,9\n" for hour in range(50)))
    assert many.count("line ") == 20
    assert "30: more faults" in many


def test_wrong_files_are_refused(tmp_path):
    assert "no column 'wet_bulb_celsius'" in refused(tmp_path, "hour,dry_bulb_celsius\n0,20\n")
    assert "no column of times" in refused(tmp_path, "dry_bulb_celsius,wet_bulb_celsius\n20,14\n")
    assert "no row" in refused(tmp_path, HEADING)
    assert "no row" in refused(tmp_path, "")
    with pytest.raises(WeatherError, match="cannot be read"):
        read_weather(tmp_path / "missing.csv")
    (tmp_path / "weather.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WeatherError, match="cannot be read"):
        read_weather(tmp_path / "weather.csv")


def test_hot_weather_reaches_the_hall_and_the_manifest(twin, tmp_path):
    def outside(degrees: float) -> float:
        written(tmp_path, f"{HEADING}0,20,14\n0.1,{degrees + 5},{degrees}\n")
        ended = twin("run", "hall=small", "hours=0.5", "weather.path=weather.csv", f"out={degrees}")
        assert ended.code == 0, ended.err
        manifest = json.loads((tmp_path / str(degrees) / "manifest.json").read_text("utf-8"))
        assert len(manifest["weather"]["sha256"]) == 64
        return json.loads((tmp_path / str(degrees) / "metrics.json").read_text("utf-8"))["facility_energy_joules"]

    assert outside(33.0) > 1.01 * outside(14.0)
