"""The cost of motion as time: read from motors, given by hand, weighed by strategies, told in the decisions."""

import json

import numpy as np
import pytest
from ophyd import Component, Device, EpicsMotor, Signal
from ophyd.sim import make_fake_device
from ophyd_async.core import init_devices, set_mock_value
from ophyd_async.epics.motor import Motor
from support.cameras import Camera, flat

from bluesky_xtag import XTagValueError
from bluesky_xtag.plans import make, tag_adaptive_scan
from bluesky_xtag.plans.motors import read_motions
from bluesky_xtag.plans.strategies import Axis, Motion, recipe


def read(RE, *arguments):
    found = []

    def plan():
        found.append((yield from read_motions(*arguments)))

    RE(plan())
    return found[0]


@pytest.mark.parametrize(
    ("distance", "seconds"),
    [
        (0, 0),
        (10, 10 / 2 + 0.5 + 0.1),  # constant velocity but for the ramps
        (1, 1 / 2 + 0.5 + 0.1),  # the velocity is just reached
        (0.25, 2 * np.sqrt(0.25 / 4) + 0.1),  # 4 units/s2, up and down
    ],
)
def test_a_move_accelerates_travels_slows_down_and_settles(distance, seconds):
    motion = Motion(velocity=2, acceleration=0.5, settling=0.1)
    assert motion.seconds(np.array([float(distance)])) == pytest.approx([seconds])


def test_a_motor_without_acceleration_moves_with_its_velocity():
    assert Motion(velocity=4).seconds(np.array([0.0, 1, 2])) == pytest.approx([0, 0.25, 0.5])


def test_it_is_read_from_ophyds_motors(RE):
    fake = make_fake_device(EpicsMotor)("IOC:m1", name="m1", settle_time=0.3)
    fake.velocity.sim_put(2.5)
    fake.acceleration.sim_put(0.4)
    det = Camera(lambda seconds: flat(1), exposure=0.5)
    assert read(RE, [fake], "motors", None, [det]) == {"m1": Motion(2.5, 0.4, 0.3, 0.5)}


def test_it_is_read_from_ophyd_asyncs_motors(RE):
    with init_devices(mock=True):
        motor = Motor("IOC:m2", name="m2")
    set_mock_value(motor.velocity, 3.0)
    set_mock_value(motor.acceleration_time, 0.2)
    assert read(RE, [motor], "motors", 1.5, []) == {"m2": Motion(3.0, 0.2, 0.0, 1.5)}


def test_what_is_given_by_hand_goes_first(RE, axis, other):
    given = {"axis": {"velocity": 7, "settling": 0.2}}
    assert read(RE, [axis, other], given, 2, []) == {"axis": Motion(7.0, 1.0, 0.2, 2.0)}


class Bare(Device):
    """Can be set, and tells nothing of its motion."""

    setpoint = Component(Signal, value=0)


@pytest.mark.parametrize(
    ("given", "frame", "says"),
    [
        ("fast", 1, "motion='fast' is not known"),
        ({"axis": 3}, 1, "is not known"),
        ({"z": {}}, 1, "given for z, but the plan moves axis"),
        ({"axis": {"speed": 1}}, 1, "has no speed; it has velocity"),
        ({"axis": {"velocity": 0}}, 1, "axis: the velocity of a motion is 0.0: give a finite number, above 0"),
        ({"axis": {"settling": -1}}, 1, "axis: the settling of a motion is -1.0: .* 0 or more"),
        ({"axis": {"velocity": "fast"}}, 1, "the velocity of axis is 'fast'"),
        ("motors", 0, "the frame of a motion is 0.0"),
        ("motors", None, "give frame_seconds"),
        (None, 1, "frame_seconds belongs to motion"),
    ],
)
def test_what_does_not_fit_is_refused(RE, axis, given, frame, says):
    with pytest.raises(XTagValueError, match=says):
        read(RE, [axis], given, frame, [])


def test_a_motor_that_tells_nothing_is_named(RE):
    with pytest.raises(XTagValueError, match="bare does not tell its velocity: give it, motion="):
        read(RE, [Bare(name="bare")], "motors", 1, [])


def map_of_half(motion):
    """Map where x > 0.5 + y / 4; return the places in their order."""
    axes = {"x": Axis("x", 0, 1, motion=motion), "y": Axis("y", 0, 1, motion=motion)}
    strategy = make("boundary", axes, tags=["ring"], tag="ring", initial=9)
    places = []
    for _ in range(30):
        (point,) = strategy.suggest()
        places.append((point["x"], point["y"]))
        strategy.ingest([point | {"ring": float(point["x"] > 0.5 + point["y"] / 4)}])
    return np.array(places), strategy


def test_slow_motors_make_shorter_moves():
    slow = Motion(velocity=0.05, frame=1.0)
    travelled = {}
    for motion in (None, slow):
        places, _ = map_of_half(motion)
        moves = np.abs(np.diff(places[9:], axis=0)).max(axis=1)
        travelled[motion] = slow.seconds(moves).sum()
    assert travelled[slow] < 0.5 * travelled[None]


def test_the_first_places_come_in_a_short_order():
    """The same places as without motion, whose order has another use: to end early."""
    slow = Motion(velocity=0.05)
    (free, _), (timed, _) = map_of_half(None), map_of_half(slow)
    assert sorted(map(tuple, timed[:9])) == sorted(map(tuple, free[:9]))
    spent = [slow.seconds(np.abs(np.diff(places[:9], axis=0)).max(axis=1)).sum() for places in (timed, free)]
    assert spent[0] < 0.75 * spent[1]


def test_a_recipe_keeps_the_motion():
    _, strategy = map_of_half(Motion(velocity=0.05, acceleration=0.1))
    kept = json.loads(json.dumps(recipe(strategy)))
    again = make(kept["name"], {name: tuple(limits) for name, limits in kept["axes"].items()}, tags=kept["tags"],
                 tag=kept["tag"], **kept["options"])  # fmt: skip
    assert again.axes == strategy.axes


def test_an_axis_without_motion_is_stored_as_before():
    assert Axis("x", 0, 1, 0.5).stored() == [0, 1, 0.5]


@pytest.mark.parametrize("motion", ["motors", {"axis": {"velocity": 0.5, "acceleration": 0, "settling": 0.25}}])
def test_the_plan_weighs_it_and_says_how_long_each_move_takes(
    RE, seen, graded, decisions, computed_again, axis, other, peak, motion
):
    RE(
        tag_adaptive_scan(
            [peak],
            graded(),
            "seek",
            axis,
            0,
            6,
            other,
            -1,
            1,
            tag="ring",
            initial_points=3,
            max_points=5,
            motion=motion,
        )
    )
    assert computed_again() == ""
    moves = decisions()[1:-1]
    assert all(row["reason"].endswith(" s of travel") for row in moves)
    told = [float(row["reason"].split("; ")[-1].split()[0]) for row in moves]
    if motion != "motors":
        steps = np.abs(np.diff([row["to_axis"] for row in decisions()[:-1]]))
        assert told == pytest.approx(steps / 0.5 + 0.25, rel=0.01)
    assert seen.start()["plan_args"]["motion"]["axis"]["velocity"] == (1 if motion == "motors" else 0.5)


def test_a_strategy_that_was_made_has_its_own(RE, seen, graded, axis, peak):
    tagger = graded()
    strategy = make("random", {"axis": (0, 6)}, tags=tagger.model.taxonomy.names)
    with pytest.raises(XTagValueError, match="give it to the axes of the strategy"):
        RE(tag_adaptive_scan([peak], tagger, strategy, axis, 0, 6, motion="motors"))
    assert not seen.documents
