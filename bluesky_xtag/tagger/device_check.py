"""Looks at a detector before a scan, and says what has to change so that its frames can be tagged while the scan runs.

Nothing is staged, triggered or set.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..frames import FrameSelection, RootMap, find_beam_centre

__all__ = ["Finding", "Findings", "check_device", "exposure_of"]

_ON = ("on", "yes", "1", "true", "enable")
_HDF5 = "AD_HDF5"
_SINGLE = "SINGLE"  # in the spec of plugins that write a file for each frame


@dataclass(frozen=True)
class Finding:
    """Something that was found out about a device.

    Parameters
    ----------
    kind : {"good", "change", "note"}
        Whether it is as it should be, has to be changed, or is only good to know.
    about : str
        What it is about, such as "SWMR".
    text : str
        What was found.
    remedy : str
        What to type, in the words of the device; "" if there is nothing to do.
    """

    kind: Literal["good", "change", "note"]
    about: str
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        mark = {"good": "✓", "change": "✗", "note": "·"}[self.kind]
        return f"{mark} {self.about}: {self.text}" + (f"\n      {self.remedy}" if self.remedy else "")


class Findings(list[Finding]):
    """Findings that are printed: a prompt that shows its results shows how many they are, and not all of them again."""

    def __repr__(self) -> str:
        changes = sum(finding.kind == "change" for finding in self)
        return f"<{len(self)} finding{'s' * (len(self) != 1)}, {changes} to be changed>"


def check_device(device: Any, selection: FrameSelection, roots: RootMap) -> list[Finding]:
    """Return what was found out about a device.

    Parameters
    ----------
    device : Readable
        A detector of ophyd, of ophyd-async, or any other that a plan can read.
    selection : FrameSelection
        Which frames are taken, and what is known of them.
    roots : RootMap
        Where directories are that the device names.
    """
    if not hasattr(device, "read") or not hasattr(device, "describe"):
        return [Finding("change", "device", f"{device!r} is not a device that a plan can read")]
    plugins = list(_file_plugins(device))
    return [
        *(finding for plugin in plugins for finding in _check_plugin(device, plugin, roots)),
        *_check_writer(device),
        *_check_keys(device, selection, bool(plugins)),
        *_safely(device, "beam centre", _check_beam_centre(device, selection)),
        *_check_exposure(device),
    ]


def _safely(device: Any, about: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """Yield findings; an error of the device is one, since it would end a scan, too."""
    try:
        yield from findings
    except Exception as error:  # noqa: BLE001 - devices raise anything
        yield Finding(
            "change", about, f"{device.name} cannot be asked for its settings: {type(error).__name__}: {error}"
        )


def exposure_of(detector: Any) -> Any:
    """Return the signal of a detector's exposure in seconds, by areaDetector's name for it; None if there is none."""
    for part in ("cam", "driver"):  # areaDetector's driver, as ophyd and as ophyd-async name it
        signal = getattr(getattr(detector, part, None), "acquire_time", None)
        if signal is not None:
            return signal
    return None


# Plugins of ophyd's areaDetector that write files


def _file_plugins(device: Any) -> Iterator[Any]:
    for name in getattr(device, "component_names", ()):
        part = getattr(device, name, None)
        if hasattr(part, "generate_datum") and hasattr(part, "filestore_spec"):
            yield part


def _check_plugin(device: Any, plugin: Any, roots: RootMap) -> Iterator[Finding]:
    name, part = f"{device.name}.{plugin.attr_name}", plugin.attr_name
    if part not in device.read_attrs:
        yield Finding(
            "change",
            "image",
            f"{device.name} does not read {part}: events hold no image",
            f'{device.name}.read_attrs.append("{part}")',
        )
    spec = str(plugin.filestore_spec)
    if spec.startswith(_HDF5) and _SINGLE not in spec:
        yield from _check_swmr(plugin, name)
        yield from _check_lazy_open(plugin, name)
        if not any(_value(size) for size in _parts(getattr(plugin, "array_size", None))):
            yield Finding(
                "change", "size", f"{name} has not seen a frame yet, and cannot be staged", f"{name}.warmup()"
            )
    yield from _check_sizes(device, plugin, name)
    yield from _check_path(plugin, name, roots)


def _check_swmr(plugin: Any, name: str) -> Iterator[Finding]:
    if not hasattr(plugin, "swmr_mode"):
        yield Finding(
            "change",
            "SWMR",
            f"{name} is of the class {_class_of(plugin)}, which lacks swmr_mode: frames can be read only after the run",
            "derive it from ophyd's HDF5Plugin_V34 (or _V25 and later), then stage swmr_mode",
        )
        return
    staged = _staged(plugin)
    remedy = f'{name}.stage_sigs["swmr_mode"] = "On"; {name}.stage_sigs.move_to_end("capture")'
    if "swmr_mode" not in staged:
        if _is_on(_value(plugin.swmr_mode)):
            yield Finding(
                "note",
                "SWMR",
                f"{name} has it on, but does not stage it: whoever switches it off is not noticed",
                remedy,
            )
        else:
            yield Finding("change", "SWMR", f"{name} has it off: frames can be read only after the run", remedy)
    elif not _is_on(staged["swmr_mode"]):
        yield Finding(
            "change",
            "SWMR",
            f"{name} stages it as {staged['swmr_mode']!r}: frames can be read only after the run",
            remedy,
        )
    elif "capture" in staged and list(staged).index("swmr_mode") > list(staged).index("capture"):
        yield Finding(
            "change",
            "SWMR",
            f"{name} stages it after capture, when the file is open already",
            f'{name}.stage_sigs.move_to_end("capture")',
        )
    else:
        yield Finding("good", "SWMR", f"{name} stages it before capture")
    every = staged.get("num_frames_flush", _value(getattr(plugin, "num_frames_flush", None)))
    if isinstance(every, int | float) and every > 1:
        yield Finding(
            "change",
            "flush",
            f"{name} shows frames only {every:g} at a time",
            f'{name}.stage_sigs["num_frames_flush"] = 1; {name}.stage_sigs.move_to_end("capture")',
        )


def _check_lazy_open(plugin: Any, name: str) -> Iterator[Finding]:
    if _is_on(_staged(plugin).get("lazy_open", _value(getattr(plugin, "lazy_open", None)))):
        yield Finding(
            "change",
            "path",
            f"{name} opens its file with the first frame (lazy_open): ophyd then announces a file with the number -1, "
            "which never exists",
            f'{name}.stage_sigs["lazy_open"] = "No"; {name}.stage_sigs.move_to_end("capture"); {name}.warmup()',
        )


def _check_sizes(device: Any, plugin: Any, name: str) -> Iterator[Finding]:
    camera = getattr(getattr(device, "cam", None), "array_size", None)
    seen = [_value(size) for size in _parts(getattr(plugin, "array_size", None)) if _value(size)]
    announced = [_value(size) for size in _parts(camera) if _value(size)]
    if seen and announced and sorted(seen) != sorted(announced):
        yield Finding(
            "change",
            "size",
            f"{name} saw frames of {' x '.join(map(str, seen))} pixels last, but {device.name}.cam announces "
            f"{' x '.join(map(str, announced))}",
            f"{name}.warmup()",
        )
    elif announced:
        yield Finding("good", "size", f"frames have {' x '.join(map(str, announced))} pixels")


def _check_path(plugin: Any, name: str, roots: RootMap) -> Iterator[Finding]:
    try:
        template = str(plugin.read_path_template)
    except (ValueError, TypeError) as error:
        yield Finding("change", "path", f"{name}: {error}")
        return
    path = Path(roots.path(time.strftime(template)))
    depth = _staged(plugin).get("create_directory", 0)
    levels = -depth if isinstance(depth, int) and depth < 0 else 0  # that the plugin makes itself
    if path.is_dir():
        yield Finding("good", "path", f"{name} writes where this machine reads {path}")
        return
    if any(parent.is_dir() for parent in list(path.parents)[:levels]):
        now = _value(getattr(plugin, "create_directory", None))  # ophyd stages it after the path, which needs it
        if isinstance(now, int | float) and now <= depth:
            yield Finding("good", "path", f"{name} makes {path}, where this machine reads")
        else:
            text = f"{path} is not there yet, and {name} makes it only if create_directory is set before the scan"
            yield Finding("change", "path", text, f"{name}.create_directory.put({depth})")
        return
    yield Finding(
        "change",
        "path",
        f"{path}, where {name} says that its files are read, is not there on this machine",
        f"set {name}.read_path_template to where the files are mounted here, or install(RE, root_map={{...}})",
    )


# Everything else


def _check_writer(device: Any) -> Iterator[Finding]:
    """Look at a detector of ophyd-async."""
    driver = getattr(device, "driver", None)
    for name, part in device.children() if driver is not None and hasattr(device, "children") else ():
        if hasattr(part, "swmr_mode"):
            yield Finding("good", "SWMR", f"ophyd-async switches it on for {device.name}.{name} in each scan")


def _check_keys(device: Any, selection: FrameSelection, writes_files: bool) -> Iterator[Finding]:
    described = _described(device)
    found = selection.choose_keys(described)
    if found:
        shapes = ", ".join(f"{key} {list(described[key].get('shape') or ())}" for key in found)
        yield Finding("good", "image", shapes)
    elif selection.key is not None:
        wanted = " or ".join(sorted(selection.key))
        text = f"{device.name} has no key {wanted} so far; its keys are {', '.join(described) or 'none'}"
        yield Finding("note", "image", text + (" (keys of files come when it is staged)" if writes_files else ""))
    elif not writes_files and getattr(device, "driver", None) is None:
        arrays = ", ".join(key for key, doc in described.items() if doc.get("dtype") == "array")
        remedy = f"install(RE, key=...) if one of these is: {arrays}" if arrays else ""
        yield Finding("change", "image", f"{device.name} has no key that looks like an image", remedy)


def _check_beam_centre(device: Any, selection: FrameSelection) -> Iterator[Finding]:
    described, key = _described(device), f"{device.name}_image"
    read, about = _plain(device.read_configuration()), _plain(device.describe_configuration())
    descriptor = {
        "data_keys": {**described, key: {}},
        "object_keys": {device.name: [*described, key]},
        "configuration": {
            device.name: {"data": {name: each["value"] for name, each in read.items()}, "data_keys": about}
        },
    }
    rule = find_beam_centre(selection.beam_centre, key, [key], descriptor, {})
    if rule.keys:
        yield Finding("good", "beam centre", f"in each event, from {' and '.join(rule.keys)}")
    elif rule.constant:
        x, y = rule.constant
        whence = "given to install" if selection.beam_centre else f"in the configuration of {device.name}"
        yield Finding("good", "beam centre", f"column {x:g}, row {y:g}, {whence}")
    elif (camera := getattr(device, "cam", None)) is not None and _knows_beam(camera):
        yield Finding(
            "change",
            "beam centre",
            f"{device.name}.cam knows it, but runs do not record it",
            f'{device.name}.cam.configuration_attrs += ["beam_center_x", "beam_center_y"]',
        )
    else:
        yield Finding(
            "note",
            "beam centre",
            "not known, so it is estimated from each frame",
            f"give {device.name} signals beam_center_x and beam_center_y, in pixels, among its configuration_attrs; "
            "or install(RE, beam_centre=(x, y))",
        )


def _knows_beam(camera: Any) -> bool:
    return any(_value(getattr(camera, f"beam_center_{axis}", None)) for axis in "xy")


def _check_exposure(device: Any) -> Iterator[Finding]:
    signal = exposure_of(device)
    if signal is not None:
        yield Finding("good", "exposure", f"{signal.name}: expose_until and skip_empty set it")
    else:
        yield Finding(
            "note",
            "exposure",
            f"{device.name} has neither cam.acquire_time nor driver.acquire_time",
            "name its signal where a plan needs it: expose_until(..., exposure=signal)",
        )


def _described(device: Any) -> Mapping[str, Any]:
    """Return the data keys of a device as far as it tells them before it is staged."""
    try:
        return _plain(device.describe())
    except Exception:  # noqa: BLE001 - detectors of ophyd-async describe themselves only while they are staged
        return {}


def _plain(answer: Any) -> Any:
    """Return what a device answered, after waiting for it where it is of ophyd-async."""
    if not inspect.isawaitable(answer):
        return answer
    from bluesky.run_engine import call_in_bluesky_event_loop

    async def wait() -> Any:
        return await answer

    return call_in_bluesky_event_loop(wait())


def _staged(plugin: Any) -> dict[str, Any]:
    """Return what a plugin stages, by the last part of the signal's name, in its order."""
    return {
        (signal if isinstance(signal, str) else signal.attr_name): value for signal, value in plugin.stage_sigs.items()
    }


def _parts(group: Any) -> list[Any]:
    return [getattr(group, name) for name in getattr(group, "component_names", ())]


def _value(signal: Any) -> Any:
    try:
        return None if signal is None else signal.get()
    except Exception:  # noqa: BLE001 - not connected, whatever the client of EPICS raises
        return None


def _is_on(value: Any) -> bool:
    return str(value).lower() in _ON


def _class_of(plugin: Any) -> str:
    return next((base.__name__ for base in type(plugin).__mro__ if "Plugin" in base.__name__), type(plugin).__name__)
