"""Flags from flagd's JSON, as a plain mapping: read strictly, all faults at once. What a file leaves out is debt."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from twin.policy import targeting
from twin.policy.causes import Role
from twin.policy.degradation import degradation_of
from twin.policy.documents import DocumentFaults, is_number, joined, nearest
from twin.policy.flags import EPOCH, Flag, Flags, Kind
from twin.policy.scope import Level, Scope, scope_of

FLAG_KEYS = ("state", "variants", "defaultVariant", "targeting", "metadata")
WAIT = "queue_seconds"  # what rules call the time [s] that a service's requests wait
METADATA_KEYS = ("kind", "owner", "reason", "scope", "may_set", "expires", "retires", "experimental")


def flags_from_mapping(document: Any, epoch: datetime = EPOCH) -> Flags:
    """Flags of a file in flagd's format. ``epoch`` is the date, with its zone, that second 0 stands for.

    Raises :class:`~twin.policy.documents.DocumentError` with all faults.
    """
    faults = DocumentFaults()
    top = faults.mapping(document, "file", 'Write {"flags": {...}}')
    if "$evaluators" in top:
        faults.add(
            "$evaluators", top["$evaluators"], "shared rules are not supported", "Write each rule out in its flag"
        )
    faults.unknown_keys(
        {key: each for key, each in top.items() if key != "$evaluators"}, ("$schema", "flags", "metadata"), ""
    )
    listed = top.get("flags")
    if isinstance(listed, list):
        faults.add("flags", listed, "a list", "Write a mapping from each flag's key to the flag")
        listed = {}
    given = faults.mapping(listed, "flags", "Write a mapping from each flag's key to the flag")
    flags = {key: _flag(key, each, faults) for key, each in given.items()}
    faults.stop()
    return Flags(flags, epoch)


def _flag(key: str, value: Any, faults: DocumentFaults) -> Flag:
    path = f"flags.{key}"
    if not key.strip():
        faults.add(path, key, "a blank key", "Name the flag")
    given = faults.mapping(value, path, "Write a mapping with state, variants, defaultVariant and metadata")
    faults.unknown_keys(given, FLAG_KEYS, path)
    state = faults.choice(given, "state", path, ("ENABLED", "DISABLED"))
    metadata = faults.mapping(given.get("metadata", {}), f"{path}.metadata", "Write a mapping")
    faults.unknown_keys(metadata, METADATA_KEYS, f"{path}.metadata")
    for name, each in metadata.items():
        if not isinstance(each, str | bool) and not is_number(each):
            faults.add(f"{path}.metadata.{name}", each, "not a text, number or bool", "flagd allows only these here")
    kind = _optional_text(metadata, "kind", path, faults)
    variants = _variants(given, kind, path, faults)
    default = faults.choice(given, "defaultVariant", path, variants)
    experimental = metadata.get("experimental", False)
    if not isinstance(experimental, bool):
        faults.add(f"{path}.metadata.experimental", experimental, "not true or false", "Write true or leave it out")
    elif experimental and kind != Kind.ROLLOUT:
        faults.add(f"{path}.metadata.experimental", True, "only a rollout flag is experimental", "Leave it out")
    after, at = _expiry(metadata, path, faults)
    return Flag(
        key=key,
        kind=kind,
        enabled=state == "ENABLED",
        variants=variants,
        default=default or "",
        targeting=_targeting(given, variants, kind, default or "", path, faults),
        owner=_optional_text(metadata, "owner", path, faults),
        reason=_optional_text(metadata, "reason", path, faults),
        scopes=_scopes(metadata, path, faults),
        may_set=_roles(metadata, path, faults),
        expires_after_seconds=after,
        expires_at=at,
        retires=_retirement(metadata, path, faults),
        experimental=experimental is True,
    )


def _variants(given: Mapping[str, Any], kind: str, path: str, faults: DocumentFaults) -> Mapping[str, Any]:
    where = f"{path}.variants"
    variants = faults.mapping(given.get("variants"), where, "Write a mapping from names to values")
    if isinstance(given.get("variants"), Mapping) and not variants:
        faults.add(where, {}, "no variant", "Write at least the default one")
    for name, each in variants.items():
        _check_value(each, f"{where}.{name}", faults)
        if kind in set(Kind) - {Kind.ROLLOUT}:
            degradation_of(each, f"{where}.{name}", faults)
    kinds = {_type_of(each) for each in variants.values()}
    if len(kinds) > 1:
        faults.add(
            where, dict(variants), f"values of several types: {', '.join(sorted(kinds))}", "Let all be of one type"
        )
    return variants


def _check_value(value: Any, path: str, faults: DocumentFaults) -> None:
    if isinstance(value, Mapping):
        for key, each in value.items():
            _check_value(each, joined(path, str(key)), faults)
    elif isinstance(value, list):
        for n, each in enumerate(value):
            _check_value(each, f"{path}[{n}]", faults)
    elif not isinstance(value, str | bool) and not is_number(value):
        faults.add(path, value, "not a value that a flag can have", "Write a bool, text, finite number or object")


def _type_of(value: Any) -> str:
    for name, kind in (("bool", bool), ("text", str), ("number", int | float), ("object", Mapping)):
        if isinstance(value, kind):
            return name
    return "list" if isinstance(value, list) else "nothing"


def _targeting(
    given: Mapping[str, Any], variants: Mapping[str, Any], kind: str, default: str, path: str, faults: DocumentFaults
) -> Any:
    rule = given.get("targeting")
    where = f"{path}.targeting"
    if rule is None or rule == {}:
        return None
    if not isinstance(rule, Mapping):
        faults.add(where, rule, "not a rule", 'Write such as {"if": [..., "on", "off"]}, or leave it out')
        return None
    before = len(faults)
    targeting.check(rule, where, faults)
    if len(faults) > before:
        return None
    seen: list[str] = []
    for found in targeting.results(rule):
        name = variant_name(found)
        known = isinstance(name, str) and name in variants
        if found is not None and not known and str(name) not in seen:
            seen.append(str(name))
            faults.add(where, found, "a result that is no variant of the flag", nearest(str(name), variants))
    if kind in set(Kind) - {Kind.ROLLOUT}:
        _check_reach(rule, variants, default, where, faults)
    return rule


def _check_reach(rule: Any, variants: Mapping[str, Any], default: str, where: str, faults: DocumentFaults) -> None:
    """Note what a rule about requests that wait asks for in vain: they have no place, and no draining helps them."""
    looked_at = targeting.names(rule)
    places = [level for level in Level if level in looked_at and level is not Level.SERVICE]
    if WAIT in looked_at and places:
        faults.add(
            where,
            f"{WAIT} and {', '.join(places)}",
            "a rule that looks at how long requests wait and at a place: a service has one queue, wherever it runs",
            f'Leave {places[0]} out, or look at "service" in its stead',
        )
    if WAIT in looked_at:
        chosen = [variant_name(default if found is None else found) for found in targeting.results(rule)]
        for name in sorted({each for each in chosen if isinstance(each, str)}):
            value = variants.get(name)
            if isinstance(value, Mapping) and value.get("drain") is True:
                faults.add(
                    where,
                    name,
                    "a variant that drains, chosen by how long requests wait: they wait longer once replicas leave",
                    "Let the rule choose a variant that does not drain",
                )


def variant_name(result: Any) -> Any:
    """The variant that a rule's result names: as flagd has it, true and false are the texts "true" and "false"."""
    return str(result).lower() if isinstance(result, bool) else result


def _optional_text(metadata: Mapping[str, Any], key: str, path: str, faults: DocumentFaults) -> str:
    value = metadata.get(key, "")
    if isinstance(value, str):
        return " ".join(value.split())
    faults.add(f"{path}.metadata.{key}", value, "not a text", "Write a text")
    return ""


def _words(metadata: Mapping[str, Any], key: str, path: str, faults: DocumentFaults) -> Iterable[str]:
    text = _optional_text(metadata, key, path, faults)
    return [each.strip() for each in text.split(",")] if text else []


def _scopes(metadata: Mapping[str, Any], path: str, faults: DocumentFaults) -> tuple[Scope, ...]:
    found = []
    for text in _words(metadata, "scope", path, faults):
        try:
            found.append(scope_of(text))
        except ValueError:
            levels = ", ".join(Level)
            faults.add(
                f"{path}.metadata.scope",
                text,
                "no scope",
                f"Write LEVEL/NAME or LEVEL/*, several with commas; levels are {levels}",
            )
    return tuple(found)


def _roles(metadata: Mapping[str, Any], path: str, faults: DocumentFaults) -> tuple[Role, ...]:
    found = []
    for text in _words(metadata, "may_set", path, faults):
        if text in set(Role):
            found.append(Role(text))
        else:
            faults.add(f"{path}.metadata.may_set", text, "no role", nearest(text, Role))
    return tuple(found)


def _expiry(metadata: Mapping[str, Any], path: str, faults: DocumentFaults) -> tuple[float | None, datetime | None]:
    value = metadata.get("expires")
    where = f"{path}.metadata.expires"
    if "expires" not in metadata:
        return None, None
    if is_number(value) and value > 0:
        return float(value), None
    if isinstance(value, str):
        try:
            return None, instant(value)
        except ValueError:
            pass
    faults.add(where, value, "neither seconds nor a date", "Write seconds above 0, or such as 2026-12-31T12:00:00Z")
    return None, None


def _retirement(metadata: Mapping[str, Any], path: str, faults: DocumentFaults) -> date | None:
    if "retires" not in metadata:
        return None
    value = metadata["retires"]
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        faults.add(f"{path}.metadata.retires", value, "not a date", "Write such as 2026-12-31")
        return None


def instant(text: str) -> datetime:
    """A date or a date and time in ISO 8601; without a zone it is UTC. Raises ValueError."""
    found = datetime.fromisoformat(text.strip())
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
