"""Decisions of another revision of the strategies are not computed again as if they were of this one."""

import json

import pytest

from bluesky_xtag import XTagError
from bluesky_xtag.plans import STRATEGIES_REVISION
from bluesky_xtag.plans.decisions import ByStrategy, make_decider


def settings_of(strategy):
    decider = ByStrategy(strategy, {"x": (0, 10)}, ["ring"], tag="ring" if strategy == "boundary" else None)
    decider.first()
    return json.loads(json.dumps(decider.settings))


def test_settings_name_the_revision_and_make_the_decider_again():
    settings = settings_of("boundary")
    assert settings["recipe"]["revision"] == STRATEGIES_REVISION
    assert make_decider(settings).first().values == make_decider(settings).first().values


@pytest.mark.parametrize("revision", [None, STRATEGIES_REVISION + 1])
def test_a_strategy_of_another_revision_is_refused_and_the_remedy_is_named(revision):
    settings = settings_of("boundary")
    settings["recipe"].pop("revision")
    if revision is not None:
        settings["recipe"]["revision"] = revision
    with pytest.raises(XTagError, match=f"revision {revision or 1} .*install the version .*decision_package_version"):
        make_decider(settings)


def test_places_of_a_list_are_the_same_in_every_revision():
    settings = settings_of("random")
    del settings["recipe"]["revision"]
    assert make_decider(settings).first() is not None
