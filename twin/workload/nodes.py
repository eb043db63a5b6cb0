"""An air-cooled hall from the node list of the Alibaba OpenB trace: every GPU node becomes a tray (a server).

Columns used: ``sn``, ``gpu`` and ``model``. The list has no power figures: a server's maximum is its GPUs' board power
from data sheets plus a chassis, both below; the thermal path is the air-cooled 8-GPU preset's, scaled to the number of
GPUs (n dies in parallel). Nodes stand by kind in rows of equal length; where the last racks would stay empty, the
servers of the largest kind are spread more thinly, so every rack holds at least one and no node is lost or added.
"""

import math
from collections import Counter
from pathlib import Path
from typing import Any

from twin.hall.layout import rack_names, row_names
from twin.workload.faults import WorkloadError
from twin.workload.table import Account, open_account, read_rows, text, whole

# board power [W]: data sheets of PCIe (P100, A10, T4) and SXM2 (V100) boards; G2 and G3 are undisclosed, so (A)
BOARD_WATTS = {"P100": 250.0, "T4": 70.0, "V100M16": 300.0, "V100M32": 300.0, "A10": 150.0, "G2": 250.0, "G3": 400.0}
OTHER_BOARD_WATTS = 300.0  # A: any other model
CHASSIS_WATTS = 350.0  # A: CPUs, memory and fans of a server, busy
CHASSIS_WATTS_PER_GPU = 60.0  # A: share of CPU and fan that grows with the GPUs
IDLE_SHARE = 0.25  # A: of the maximum; the 8-GPU presets idle at 19-23 %
RACK_WATTS = 20_000.0  # A: servers are stacked up to this, and up to SERVERS_PER_RACK
SERVERS_PER_RACK = 16
RACKS_PER_ROW = 16
PRESET = "a100_8gpu_air"
# of that preset, whose figures are of a server of eight GPUs
PRESET_GPUS = 8
CONDUCTION = 0.0040  # K/W
CONVECTION = 0.0060  # K/W
PLATE_CAPACITY = 6400.0  # J/K
DIE_CAPACITY = 280.0  # J/K
LEAKAGE_PER_WATT = 1.5 / 2500.0  # W/K per W of GPU power (S)
AIR_CFM_PER_WATT = 0.1535  # 150-157 CFM per kW (S)


def hall_mapping_from_nodes(path: Path, *, malformed: str = "skip") -> dict[str, Any]:
    """The generative hall mapping of the nodes at ``path``, to be read by :func:`twin.hall.reader.read_hall`.

    Raises :class:`~twin.workload.faults.WorkloadError` for a file that cannot be used.
    """
    kinds, account = read_nodes(path)
    account.check(malformed)
    return hall_mapping(kinds)


def read_nodes(path: Path) -> tuple[Counter[tuple[str, int]], Account]:
    """Count nodes by (model, GPUs). Nodes without GPUs are set aside, in the account."""
    account = open_account(path, key="workload.nodes_path")
    kinds: Counter[tuple[str, int]] = Counter()
    names: set[str] = set()
    for line, (name, gpus, model) in read_rows(path, {"sn": text, "gpu": whole, "model": str.strip}, account):
        if name in names:
            account.refuse_row(line, "sn is a duplicate")
        elif gpus == 0:
            account.set_aside["has no GPU"] += 1
        elif gpus > 64:
            account.refuse_row(line, "gpu is above 64")
        elif not model:
            account.refuse_row(line, "model is blank")
        else:
            kinds[model, gpus] += 1
            account.used += 1
        names.add(name)
    return kinds, account


def server_watts(model: str, gpus: int) -> float:
    """Maximum power [W] of a server of ``gpus`` GPUs of a model."""
    board = BOARD_WATTS.get(model, OTHER_BOARD_WATTS)
    return CHASSIS_WATTS + gpus * (board + CHASSIS_WATTS_PER_GPU)


def stack(kinds: Counter[tuple[str, int]]) -> tuple[list[tuple[str, int, int]], int]:
    """Racks as (model, GPUs, servers) in floor order, as many as fill rows of equal length, and that length.

    Raises :class:`WorkloadError` when there is no node.
    """
    if not kinds:
        raise WorkloadError(["the node list has no node with GPUs; a hall cannot be built from it"])
    order = sorted(kinds, key=lambda kind: (-kinds[kind] * kind[1], kind))
    capacity = {kind: max(1, min(SERVERS_PER_RACK, int(RACK_WATTS // server_watts(*kind)))) for kind in order}
    racks = {kind: math.ceil(kinds[kind] / capacity[kind]) for kind in order}
    total = sum(racks.values())
    rows = math.ceil(total / RACKS_PER_ROW)
    length = math.ceil(total / rows)
    spare = rows * length - total
    for kind in order:  # spread over the spare places, as long as every rack keeps a server
        more = min(spare, kinds[kind] - racks[kind])
        racks[kind] += more
        spare -= more
    if spare:  # fewer servers than places: one row, as long as it needs to be
        length = sum(racks.values())
    stacked = []
    for kind in order:
        each, rest = divmod(kinds[kind], racks[kind])
        stacked += [(*kind, each + (place < rest)) for place in range(racks[kind])]
    return stacked, length


def hall_mapping(kinds: Counter[tuple[str, int]]) -> dict[str, Any]:
    """The hall of these nodes in the keys of ``conf/hall/*.yaml``; each feed can carry all of it."""
    stacked, length = stack(kinds)
    rows = len(stacked) // length
    watts = sum(servers * server_watts(model, gpus) for model, gpus, servers in stacked)
    names = [_class_name(*rack) for rack in stacked]
    classes = {_class_name(*rack): _rack_class(*rack) for rack in stacked}
    common = Counter(names).most_common(1)[0][0]
    places = [rack for row in row_names(rows) for rack in rack_names(row, length)]
    exceptions = {place: {"rack_class": name} for place, name in zip(places, names, strict=True) if name != common}
    both = 2.4  # rating of both feeds over the nameplate behind them: each carries all, with a margin of a fifth
    return {
        "name": "openb_nodes",
        "purpose": f"{sum(kinds.values())} air-cooled servers of a node list",
        "rows": rows,
        "racks_per_row": length,
        "rack_class": common,
        "classes": classes,
        "voltage_volts": 480,
        "utility": {"breaker": None},
        "ups": {
            "efficiency": 0.97,
            "fixed_loss_watts": round(0.004 * watts),
            "battery_minutes": 5,
            "oversubscription": both,
            "breaker": {"preset": "lsi_tr24", "rating_amperes": None},
        },
        "pdu": {
            "rows": 1,
            "efficiency": 0.995,
            "fixed_loss_watts": round(0.0004 * watts / rows),
            "oversubscription": both,
            "breaker": {"preset": "lsi_tr16", "rating_amperes": None, "continuous_fraction": 1.0},
        },
        "row_feed": {"oversubscription": both, "breaker": {"preset": "lsi_tr8", "rating_amperes": None}},
        "rack_feed": {"breaker": {"preset": "mcb_c63"}},
        "loop": None,
        "staging": None,
        "air": {
            "rows_per_zone": None,
            "setpoint_celsius": 22,
            "band_kelvin": 4,
            "capacity_fraction": 1.15,
            "fan_fraction": 0.04,
            "heat_capacity_joules_per_kelvin_per_rack": 60000,
            "recirculation": 0.06,
        },
        "facility": {
            "setpoint_celsius": 18,
            "capacity_fraction": 1.15,
            "band_kelvin": 2,
            "tank_minutes": 7,
            "tank_rise_kelvin": 8,
            "approach_kelvin": 4,
            "chiller_cop": 5,
            "free_cooling_fraction": 0.03,
            "dry_bulb_celsius": 20,
            "wet_bulb_celsius": 14,
        },
        "auxiliary": None,
        "backup": None,
        "exceptions": exceptions,
    }


def _class_name(model: str, gpus: int, servers: int) -> str:
    return f"{model.lower()}_{gpus}gpu_{servers}"


def _rack_class(model: str, gpus: int, servers: int) -> dict[str, Any]:
    """Changes to the preset for a rack of ``servers``."""
    most = server_watts(model, gpus)
    board = gpus * BOARD_WATTS.get(model, OTHER_BOARD_WATTS)
    parallel = PRESET_GPUS / gpus
    return {
        "preset": PRESET,
        "trays": servers,
        "gpus_per_tray": gpus,
        "tray_idle_watts": round(IDLE_SHARE * most, 1),
        "tray_max_watts": most,
        "die_share": round(board / most, 4),
        "plate_share": round(0.5 * (1.0 - board / most), 4),
        "leakage_watts_per_kelvin": round(LEAKAGE_PER_WATT * board, 4),
        "die_heat_capacity_joules_per_kelvin": DIE_CAPACITY / parallel,
        "plate_heat_capacity_joules_per_kelvin": PLATE_CAPACITY / parallel,
        "conduction_resistance_kelvin_per_watt": CONDUCTION * parallel,
        "convection_resistance_kelvin_per_watt": CONVECTION * parallel,
        "overhead_watts": 200.0,
        "air_flow_cubic_feet_per_minute": round(AIR_CFM_PER_WATT * (servers * most + 200.0), 1),
        "source": "node list of the OpenB trace; figures in twin/workload/nodes.py",
    }
