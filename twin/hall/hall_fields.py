"""The keys of a hall file, section by section."""

from typing import Final

from twin.hall.cdu_figures import CDU_FIELDS
from twin.hall.fields import Field, choice, count, flag, number, section, share, text
from twin.hall.parts import NodeKind

RISK_TIERS: Final = ("low", "standard", "high")  # thermal risk that the workload on a rack may bring
CELLS: Final = ("hall", "staging")

HALL_FIELDS: Final[tuple[Field, ...]] = (
    text("name", "name of the hall", "hall"),
    text("purpose", "a sentence about the hall", ""),
    count("rows", "rows to lay out", 0),
    count("racks_per_row", "racks of a row", 0),
    text("rack_class", "class of every rack without an exception", None, optional=True),
    section("classes", "rack classes of this hall, each a preset and changes to it", {}),
    number("voltage_volts", "line to line, at every level", 480.0, above=True),
    section("utility", "the two utility services", {}),
    section("ups", "the two UPS", {}),
    section("pdu", "one pair of PDUs per so many rows", {}),
    section("row_feed", "the two feeds of a row", {}),
    section("rack_feed", "the two feeds of a rack", {}),
    section("loop", "coolant loops", None, optional=True),
    section("staging", "staging cell", None, optional=True),
    section("air", "room air"),
    section("facility", "facility water"),
    section("emergency", "what carries the hall when its utility is lost", {}),
    section("auxiliary", "panel of other loads", None, optional=True),
    section("backup", "remote pool of trays", None, optional=True),
    section("exceptions", "changes by the name of a row, rack, feed, loop or zone", {}),
    Field("racks", "section", "further racks, one by one", ()),
    Field("nodes", "section", "further power nodes, one by one", ()),
    Field("loops", "section", "further loops, one by one", ()),
    Field("zones", "section", "further air zones, one by one", ()),
)
LISTS: Final = ("racks", "nodes", "loops", "zones")

NODE_FIELDS: Final[tuple[Field, ...]] = (
    share("efficiency", "η of P_in = (P_out + c)/η", 1.0, above=True),
    number("fixed_loss_watts", "c of P_in = (P_out + c)/η", 0.0),
    number("battery_minutes", "UPS battery at the nameplate of its racks", 0.0),
    number(
        "oversubscription",
        "rating of both feeds together over the nameplate behind them; null to take the breaker's own rating",
        None,
        above=True,
        optional=True,
    ),
    section("breaker", "preset and changes to it; null for no breaker", None, optional=True),
)
PDU_FIELDS: Final = (count("rows", "rows per pair of PDUs", 1, low=1), *NODE_FIELDS)
STAGING_FIELDS: Final = (
    count("racks", "racks of the staging cell"),
    text("rack_class", "their class", None, optional=True),
    section("row_feed", "the two feeds of the staging row", {}),
)
LOOP_FIELDS: Final[tuple[Field, ...]] = (
    text("cdu", "CDU preset"),
    number("supply_temperature_celsius", "set point of the coolant supply", low=5.0, high=70.0),
    number(
        "oversubscription",
        "rated heat of a loop over its racks' liquid heat; null to take the CDU as it is",
        None,
        above=True,
        optional=True,
    ),
    *CDU_FIELDS,
)
AIR_FIELDS: Final[tuple[Field, ...]] = (
    count("rows_per_zone", "rows that share an air zone; null for all", None, low=1, optional=True),
    number("setpoint_celsius", "supply air", low=5.0, high=45.0),
    number("band_kelvin", "proportional band of the CRAHs", above=True),
    number("capacity_fraction", "CRAH capacity over the racks' air heat", above=True),
    share("fan_fraction", "CRAH fan power over CRAH capacity"),
    number("heat_capacity_joules_per_kelvin_per_rack", "room air and what follows it", above=True),
    share("recirculation", "fraction of a rack's inlet air drawn from each neighbour's exhaust", 0.0),
)
ZONE_FIELDS: Final[tuple[Field, ...]] = (
    text("name", "name of the zone"),
    number("setpoint_celsius", "supply air", low=5.0, high=45.0),
    number("band_kelvin", "proportional band of the CRAHs", above=True),
    number("capacity_kilowatts", "CRAH capacity", scale=1e3),
    number("fan_watts", "CRAH fans at full speed"),
    number("heat_capacity_joules_per_kelvin", "room air and what follows it", above=True),
    share("recirculation", "fraction of a rack's inlet air drawn from each neighbour's exhaust", 0.0),
)
FACILITY_FIELDS: Final[tuple[Field, ...]] = (
    number("setpoint_celsius", "facility water supply", low=5.0, high=60.0),
    number("capacity_fraction", "heat rejection over the nameplate of the racks", above=True),
    number("band_kelvin", "proportional band of the heat rejection", above=True),
    number("tank_minutes", "time in which the tank takes up the nameplate heat", above=True),
    number("tank_rise_kelvin", "… while it warms by this much", above=True),
    number("approach_kelvin", "tower outlet above wet bulb"),
    number("chiller_cop", "coefficient of performance of the chillers; null for none", above=True, optional=True),
    share("free_cooling_fraction", "fan and pump power per watt rejected"),
    number("dry_bulb_celsius", "without a weather file", 20.0, low=-60.0, high=60.0),
    number("wet_bulb_celsius", "without a weather file", 14.0, low=-60.0, high=60.0),
)
EMERGENCY_FIELDS: Final[tuple[Field, ...]] = (
    number("generator_start_seconds", "from the loss of the utility to power; null for none", 12.0, optional=True),
    number("chiller_restart_seconds", "from power to the start of heat rejection", 600.0),
    number("chiller_ramp_seconds", "from its start to all of it", 120.0, above=True),
    flag("cdu_pumps_on_ups", "whether the pumps of the CDUs hang on the UPS", True),
    flag("water_pumps_on_ups", "whether the pumps of the facility water hang on the UPS", True),
    flag("crah_fans_on_ups", "whether the fans of the CRAHs hang on the UPS", False),
)
AUXILIARY_FIELDS: Final[tuple[Field, ...]] = (
    choice("feed", "the side that feeds the panel", ("A", "B"), "A"),
    text("parent", "node that feeds the panel; the UPS of its side without", None, optional=True),
    *NODE_FIELDS,
    section("loads", "constant loads by name", {}),
)
LOAD_FIELDS: Final[tuple[Field, ...]] = (
    number("power_watts", "constant power"),
    share("power_factor", "power factor", 0.95, above=True),
    text("phase", "AB, BC or CA for line to line, ABC for three-phase"),
    text("node", "node that feeds it; the auxiliary panel without", None, optional=True),
)
BACKUP_FIELDS: Final = (text("name", "its name", "backup"), count("trays", "trays of the pool"))

ROW_EXCEPTION_FIELDS: Final[tuple[Field, ...]] = (
    text("rack_class", "class of the row's racks"),
    choice("risk_tier", "thermal-risk tier of the row's racks", RISK_TIERS),
    section("row_feed", "changes to the two feeds of the row"),
    section("rack_feed", "changes to the feeds of the row's racks"),
)
RACK_EXCEPTION_FIELDS: Final[tuple[Field, ...]] = (
    text("rack_class", "its class"),
    choice("risk_tier", "its thermal-risk tier", RISK_TIERS),
    share("valve_position", "of its valve, 1 open"),
    text("loop", "name of its loop", optional=True),
    text("zone", "name of its air zone"),
    Field("feeds", "names", "letters of its feeds, [A, B]"),
)
NODE_EXCEPTION_FIELDS: Final[tuple[Field, ...]] = (
    text("parent", "node that feeds it"),
    number("voltage_volts", "line to line", above=True),
    *(each for each in NODE_FIELDS if each.key != "oversubscription"),
)
EXPLICIT_RACK_FIELDS: Final[tuple[Field, ...]] = (
    text("name", "name of the rack"),
    text("rack_class", "its class", None, optional=True),
    text("row", "name of its row"),
    count("position", "place in the row", low=1),
    choice("cell", "hall or staging", CELLS, "hall"),
    text("loop", "name of its loop", None, optional=True),
    text("zone", "name of its air zone", None, optional=True),
    Field("feeds", "names", "names of its rack nodes, A first", ()),
    share("valve_position", "of its valve, 1 open", 1.0),
    choice("risk_tier", "thermal-risk tier", RISK_TIERS, "standard"),
)
EXPLICIT_NODE_FIELDS: Final[tuple[Field, ...]] = (
    text("name", "name of the node"),
    choice("kind", "level", [each.value for each in NodeKind]),
    text("parent", "node that feeds it; null for a utility", None, optional=True),
    choice("feed", "side", ("A", "B")),
    number("voltage_volts", "line to line", None, above=True, optional=True),
    share("efficiency", "η of P_in = (P_out + c)/η", 1.0, above=True),
    number("fixed_loss_watts", "c of P_in = (P_out + c)/η", 0.0),
    number("battery_joules", "UPS battery", 0.0),
    section("breaker", "preset and changes to it; null for no breaker", None, optional=True),
)
EXPLICIT_LOOP_FIELDS: Final = (text("name", "name of the loop"), *LOOP_FIELDS)
