"""What servers read of a plan: its type hints can be resolved, and its signature holds no types."""

import inspect
from collections.abc import Generator
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from bluesky import Msg
from bluesky.protocols import Movable

import bluesky_xtag.plans
import bluesky_xtag.plans.remote
from bluesky_xtag import Tagger

PLANS = (
    *("compare_samples", "expose_until", "scan_until", "skip_empty", "tag_adaptive_fly", "tag_adaptive_scan", "watch"),
)
REMOTE = tuple(name for name in bluesky_xtag.plans.remote.__all__ if name != "Devices")
EVERY = [
    *(pytest.param(getattr(bluesky_xtag.plans, name), id=name) for name in PLANS),
    *(pytest.param(getattr(bluesky_xtag.plans.remote, name), id=f"remote {name}") for name in REMOTE),
]


@pytest.mark.parametrize("plan", EVERY)
def test_hints_are_resolved_and_say_that_it_is_a_plan(plan):
    hints = get_type_hints(plan)
    assert get_origin(hints["return"]) is Generator
    assert get_args(hints["return"])[:2] == (Msg, Any)
    assert hints["tagger"] is Tagger


@pytest.mark.parametrize("plan", EVERY)
def test_every_argument_has_a_hint_and_none_in_the_signature(plan):
    parameters = inspect.signature(plan).parameters
    assert set(parameters) == set(get_type_hints(plan)) - {"return"}
    assert all(parameter.annotation is parameter.empty for parameter in parameters.values())


def test_public_plans_are_all_here():
    public = {name for name in bluesky_xtag.plans.__all__ if _is_plan(getattr(bluesky_xtag.plans, name))}
    assert public == set(PLANS)


@pytest.mark.parametrize("name", REMOTE)
def test_plans_for_servers_take_named_arguments_only(name):
    plan = getattr(bluesky_xtag.plans.remote, name)
    kinds = {parameter.kind for parameter in inspect.signature(plan).parameters.values()}
    assert kinds <= {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}


def test_devices_are_told_from_names_by_their_types():
    assert get_type_hints(bluesky_xtag.plans.expose_until)["exposure"] == Movable | None
    assert get_type_hints(bluesky_xtag.plans.scan_until)["motor"] is Movable


def _is_plan(value):
    try:
        return get_origin(get_type_hints(value).get("return")) is Generator
    except (TypeError, NameError):  # as blueapi has it
        return False
