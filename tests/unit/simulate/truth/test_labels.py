import numpy as np
import pytest

from bluesky_xtag.simulate import TAGS
from bluesky_xtag.simulate.scene import patterns
from bluesky_xtag.simulate.scene.geometry import Geometry
from bluesky_xtag.simulate.scene.layouts import Layout
from bluesky_xtag.simulate.scene.scenes import Part, Scene, render
from bluesky_xtag.simulate.scene.shadows import Beamstop
from bluesky_xtag.simulate.truth.labels import label, verdict

LAYOUT = Layout((500, 480), 172e-6)
GEOMETRY = Geometry(LAYOUT.shape, 172e-6, 1.0, 1.0, (230.0, 260.0))
FLAT = Part("background", patterns.HighQ(0.0, 1.0), 2e4)
RING = patterns.Rings(0.15, width=0.03)


def tags(*parts, shadows=(), layout=LAYOUT, geometry=GEOMETRY, at_limit=0):
    scene = Scene(layout, geometry, (*parts, FLAT), shadows)
    return dict(zip(TAGS.names, label(render(scene, 2), at_limit).tolist(), strict=True))


def test_the_rule_has_its_thresholds_at_one_and_five():
    assert [verdict(snr) for snr in (0, 0.99, 1, 4.99, 5, 100)] == [0, 0, -1, -1, 1, 1]


@pytest.mark.parametrize(("photons", "wanted"), [(3, 0), (150, -1), (3e4, 1)])
def test_a_ring_is_labelled_by_its_photons(photons, wanted):
    assert tags(Part("rings", RING, photons))["ring"] == wanted


def test_nothing_but_background_is_empty():
    found = tags()
    assert found["empty"] == 1
    assert not any(found[name] for name in ("ring", "halo", "spots", "diffuse_low_q", "oriented", "beamstop"))


def test_doubling_the_exposure_multiplies_the_snr_by_the_root_of_two():
    from bluesky_xtag.simulate.truth.labels import Judge

    def strongest(exposure):
        parts = (Part("rings", RING, 1e4 * exposure), Part("background", patterns.HighQ(0.0, 1.0), 1e4 * exposure))
        return Judge(render(Scene(LAYOUT, GEOMETRY, parts), 2)).strongest

    assert strongest(2) / strongest(1) == pytest.approx(2**0.5, rel=1e-3)


@pytest.mark.parametrize(
    ("kind", "component", "tag"),
    [
        ("halo", patterns.Halo(0.15, 0.25), "halo"),
        ("low_q", patterns.PowerLaw(3.0, 0.02), "diffuse_low_q"),
        ("rings", RING, "ring"),
        ("streak", patterns.Streak(0.4, 0.003, 0.05), "parasitic_streak"),
        ("grazing", patterns.Yoneda(0.03, 0.004, 0.05, 0.03), "grazing_incidence"),
        ("rods", patterns.BraggRods((0.05,), 0.003, 0.1), "bragg_rods"),
    ],
)
def test_each_component_has_its_own_tag_and_only_that(kind, component, tag):
    found = tags(Part(kind, component, 1e6))
    assert found[tag] == 1
    components = {"halo", "diffuse_low_q", "ring", "spots", "parasitic_streak", "grazing_incidence", "bragg_rods"}
    assert not any(found[other] for other in components - {tag})


def test_spots_are_counted_one_by_one():
    def spots(number, photons=1e5):
        chi = tuple(np.linspace(-2, 2, number))
        component = patterns.Spots((0.15,) * number, chi, (1.0,) * number, 0.004, 0.02)
        return tags(Part("spots", component, photons))["spots"]

    assert spots(3) == spots(9) == 1
    assert spots(2) == -1
    assert spots(3, photons=0.5) == 0


@pytest.mark.parametrize(("count", "higher", "many"), [(1, 0, 0), (2, 1, 0), (6, 1, 1)])
def test_orders_and_many_rings_count_visible_radii(count, higher, many):
    rings = patterns.Rings(0.06, tuple(range(1, count + 1)), width=0.04)
    found = tags(Part("rings", rings, 1e6))
    assert (found["higher_orders"], found["many_rings"]) == (higher, many)


@pytest.mark.parametrize(("eta", "wanted"), [(0.02, 0), (0.12, -1), (0.3, 1), (0.8, 1)])
def test_oriented_needs_a_contrast_of_0_3(eta, wanted):
    textured = patterns.Textured(RING, eta)
    assert tags(Part("rings", textured, 1e6))["oriented"] == wanted


def test_a_turn_by_90_degrees_changes_no_label():
    turned = Geometry(LAYOUT.shape[::-1], 172e-6, 1.0, 1.0, (260.0, 480 - 1 - 230.0))
    layout = Layout(LAYOUT.shape[::-1], 172e-6)
    parts = (Part("rings", patterns.Textured(RING, 0.5, 2, 0.3), 1e5), Part("halo", patterns.Halo(0.2, 0.3), 1e5))
    stop = Beamstop(0.03, 0.01, 1.0)
    before = tags(*parts, shadows=(stop,))
    parts = (Part("rings", patterns.Textured(RING, 0.5, 2, 0.3 - np.pi / 2), 1e5), parts[1])
    assert before == tags(*parts, shadows=(Beamstop(0.03, 0.01, 1.0 - np.pi / 2),), layout=layout, geometry=turned)


@pytest.mark.parametrize(("pixels", "wanted"), [(0, 0), (5, -1), (20, 1)])
def test_saturated_needs_twenty_pixels_at_the_limit(pixels, wanted):
    assert tags(at_limit=pixels)["saturated"] == wanted


def test_a_beamstop_needs_light_to_cast_a_shadow():
    bright = Part("low_q", patterns.Guinier(30.0), 1e6)
    assert tags(bright, shadows=(Beamstop(0.04),))["beamstop"] == 1
    assert tags(Part("low_q", patterns.Guinier(30.0), 1), shadows=(Beamstop(0.004),))["beamstop"] == -1
    assert tags(bright)["beamstop"] == 0


def test_instrument_tags_follow_the_layout_and_the_centre():
    pilatus = Layout((1043, 981), 172e-6, "Pilatus 1M")
    inside = Geometry(pilatus.shape, 172e-6, 1.0, 1.0, (500.0, 500.0))
    outside = Geometry(pilatus.shape, 172e-6, 1.0, 1.0, (-100.0, 500.0))
    assert tags(layout=pilatus, geometry=inside)["detector_gaps"] == 1
    assert tags()["detector_gaps"] == 0
    assert tags(layout=pilatus, geometry=inside)["beam_off_image"] == 0
    assert tags(layout=pilatus, geometry=outside)["beam_off_image"] == 1


@pytest.mark.parametrize(("photons", "weak", "strong"), [(3e2, -1, 0), (1e3, 1, 0), (1e7, 0, 1)])
def test_intensity_tags_follow_the_strongest_component(photons, weak, strong):
    found = tags(Part("halo", patterns.Halo(0.15, 0.25), photons))
    assert (found["weak_scattering"], found["strong_scattering"]) == (weak, strong)


def test_an_empty_frame_has_no_high_background():
    assert tags()["high_background"] == 0
    assert tags(Part("halo", patterns.Halo(0.15, 0.25), 5e3))["high_background"] == 1


@pytest.mark.parametrize(("centre", "wanted"), [((230.0, 260.0), 1), ((-400.0, 260.0), -1)])
def test_low_q_is_told_only_near_the_beam(centre, wanted):
    geometry = Geometry(LAYOUT.shape, 172e-6, 1.0, 1.0, centre)
    assert tags(Part("low_q", patterns.Guinier(12.0), 1e7), geometry=geometry)["diffuse_low_q"] == wanted


def test_a_horizon_alone_is_grazing_incidence():
    faint = Part("grazing", patterns.Yoneda(0.03, 0.004, 0.05, 0.03), 1.0)
    assert tags(faint, Part("halo", patterns.Halo(0.15, 0.25), 1e6))["grazing_incidence"] == 1
    assert tags(faint)["grazing_incidence"] in (0, -1)


def test_arcs_that_show_few_azimuths_are_not_oriented():
    arcs = Part("rings", patterns.Textured(patterns.Rings(0.6, width=0.03), 0.3, 2, 0.0), 1e6)
    geometry = Geometry(LAYOUT.shape, 172e-6, 1.0, 1.0, (-3000.0, 260.0))
    assert tags(arcs, geometry=geometry)["oriented"] == -1


@pytest.mark.parametrize(("chi", "wanted"), [((0.0, np.pi, 0.2, 3.0, -0.2), 1), (tuple(np.arange(0, 6.2, 0.3)), 0)])
def test_spots_are_oriented_only_along_one_axis(chi, wanted):
    spots = patterns.Spots((0.15,) * len(chi), chi, (1.0,) * len(chi), 0.004, 0.02)
    assert tags(Part("spots", spots, 1e5))["oriented"] == wanted


@pytest.mark.parametrize("fold", [2, 4, 6])
def test_texture_has_the_symmetry_of_its_fold(fold):
    textured = patterns.Textured(patterns.Rings(0.12, width=0.05), 0.5, fold, 0.3)
    found = tags(Part("rings", textured, 1e7))
    names = {2: "oriented", 4: "symmetry_4", 6: "symmetry_6"}
    assert {name: found[name] for name in names.values()} == {name: int(n == fold) for n, name in names.items()}


@pytest.mark.parametrize(("angle", "wanted"), [(np.pi / 2, "symmetry_4"), (np.pi / 3, "symmetry_6")])
def test_a_lattice_has_the_symmetry_of_its_angle(angle, wanted):
    h, k = (grid.ravel() for grid in np.meshgrid(np.arange(-4, 5), np.arange(-4, 5)))
    x, y = 0.06 * (h + k * np.cos(angle)), 0.06 * k * np.sin(angle)
    keep = (np.hypot(x, y) > 0.01) & (np.hypot(x, y) < 0.2)
    q, chi = np.hypot(x, y)[keep], np.arctan2(y, x)[keep] + 0.2
    spots = patterns.Spots(tuple(q), tuple(chi), (1.0,) * q.size, 0.002, 0.02)
    found = tags(Part("spots", spots, 1e6))
    assert found[wanted] == 1 and found["spots"] == 1
    assert sum(found[name] == 1 for name in ("oriented", "symmetry_4", "symmetry_6")) == 1


def test_what_rises_to_the_edge_is_told_from_a_level():
    assert tags(Part("high_q", patterns.HighQ(2.0, 0.3), 1e6))["diffuse_high_q"] == 1
    assert tags(Part("high_q", patterns.HighQ(0.05, 0.3), 2e3))["diffuse_high_q"] == -1
    assert tags()["diffuse_high_q"] == -1  # a sample's plateau looks the same
    dark = Scene(LAYOUT, GEOMETRY, (Part("rings", RING, 1e5),))
    assert label(render(dark, 2))[TAGS.index("diffuse_high_q")] == 0


@pytest.mark.parametrize(("q0", "wanted"), [(0.12, 0), (0.3, -1)])
def test_a_halo_that_the_edge_cuts_off_may_be_what_rises_to_it(q0, wanted):
    scene = Scene(LAYOUT, GEOMETRY, (Part("halo", patterns.Halo(q0, 0.22), 1e5),))
    assert label(render(scene, 2))[TAGS.index("diffuse_high_q")] == wanted


@pytest.mark.parametrize(("polydispersity", "wanted"), [(0.02, 1), (0.15, -1), (0.3, 0)])
def test_form_factor_needs_minima_that_stand_out(polydispersity, wanted):
    sphere = patterns.Sphere(80.0, polydispersity)
    assert tags(Part("low_q", sphere, 1e7))["form_factor"] == wanted


def test_minima_drowned_in_background_are_not_certain():
    level = Part("background", patterns.HighQ(0.0, 1.0), 1e7)
    assert tags(Part("low_q", patterns.Sphere(80.0, 0.02), 1e5), level)["form_factor"] != 1


def test_rings_that_run_into_each_other_may_be_called_a_halo():
    blurred = patterns.Rings(0.1, (1, 1.2, 1.4), width=0.09)
    assert tags(Part("rings", blurred, 1e6))["halo"] == -1
    assert tags(Part("rings", RING, 1e6))["halo"] == 0


def test_a_windows_ring_is_nobodys():
    window = Part("window", RING, 1e6)
    found = tags(window)
    assert (found["ring"], found["empty"]) == (-1, -1)
