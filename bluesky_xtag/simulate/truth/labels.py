"""Labels by construction: what is visible in a rendered scene, judged by photons.

For a component with expected photons s and everything else b, over the valid blocks,
SNR = sqrt(sum s^2 / (s + b + sigma_read^2)). A tag is 1 from SNR 5 at the resolution of the network's views, 0 below
SNR 1, and -1 (ignored in the loss and in the scores) between. Also ignored is what passes that rule but could as well
be more of the other components or of a background, because nobody knows their levels beforehand; what stands out by
less than 2 % of what lies under it, because there not photons but the uniformity of the detector decides; and what is
cut off so far that its kind cannot be told: scattering that falls from the beam where no pixel is near the beam,
texture where few azimuths are in the frame.
"""

from __future__ import annotations

import cv2
import numpy as np

from ...model import DEFAULT_TAXONOMY
from ..scene.patterns import Component, Halo, Rings, Sphere, Spots, Streak, Textured
from ..scene.scenes import Part, Rendering
from ..scene.shadows import Beamstop
from .visibility import SAMPLE, Visibility

__all__ = ["FAINTEST", "IGNORED", "NO", "STRENGTHS", "TAGS", "YES", "Judge", "label", "truth", "verdict"]

TAGS = DEFAULT_TAXONOMY
YES, NO, IGNORED = 1, 0, -1
FAINTEST = 0.1  # SNR below which a strength tells nothing; also that of what is absent
_KINDS = {
    "diffuse_low_q": "low_q",
    "diffuse_high_q": "high_q",
    "halo": "halo",
    "ring": "rings",
    "spots": "spots",
    "grazing_incidence": "grazing",
    "bragg_rods": "rods",
    "parasitic_streak": "streak",
}
STRENGTHS = tuple(name for name in TAGS.names if name in _KINDS or name == "form_factor")
"""The tags of components, which have a strength."""


def verdict(value: float, absent: float = 1.0, present: float = 5.0) -> int:
    """Return 1 from `present`, 0 below `absent`, -1 between."""
    return YES if value >= present else NO if value < absent else IGNORED


def label(rendering: Rendering, at_limit: int = 0, judge: type[Judge] | None = None) -> np.ndarray:
    """Return 1 (holds), 0 (does not) or -1 (ignored) for each tag of `TAGS`, int8.

    Parameters
    ----------
    rendering : Rendering
        The scene at the resolution of the network's input.
    at_limit : int
        Valid pixels of the exposed frame at the counter's limit.
    judge : type of Judge, optional
        Other rules than those of `Judge`.
    """
    return truth(rendering, at_limit, judge)[0]


def truth(rendering: Rendering, at_limit: int = 0, judge: type[Judge] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels of `label`, and the strengths of the components.

    Returns
    -------
    numpy.ndarray
        (len(TAGS),) int8 labels.
    numpy.ndarray
        (len(STRENGTHS),) float32, log10 of the SNR of what neither a level nor the other components explain; that of
        `FAINTEST` where it is lower or nothing of the kind is there.
    """
    of_frame = (judge or Judge)(rendering)
    strengths = np.log10([max(of_frame.strength(name), FAINTEST) for name in STRENGTHS]).astype(np.float32)
    rules = {
        "empty": of_frame.empty(),
        "saturated": verdict(at_limit, 2, 20),
        "high_background": of_frame.high_background(),
        "parasitic_streak": of_frame.streak(),
        "weak_scattering": of_frame.weak(),
        "strong_scattering": of_frame.strong(),
        "beamstop": of_frame.beamstop(),
        "detector_gaps": of_frame.gaps(),
        "beam_off_image": of_frame.beam_off(),
        "grazing_incidence": of_frame.grazing(),
        "diffuse_low_q": of_frame.low_q(),
        "diffuse_high_q": of_frame.high_q(),
        "halo": of_frame.halo(),
        "bragg_rods": of_frame.visible("rods"),
        "form_factor": of_frame.form_factor(),
        **of_frame.symmetry(),
        **of_frame.peaks(),
    }
    return np.array([rules[name] for name in TAGS.names], np.int8), strengths


class Judge(Visibility):
    """The rules of one frame."""

    slightest = 0.1  # contrast round the circle from which a frame may be called textured

    def strength(self, tag: str) -> float:
        """Return the SNR of the strongest component of a tag, beyond a level and the other components."""
        if tag == "form_factor":
            return max((self._minima_snr(part.component, photons) for part, photons in self.parts), default=0.0)
        return max(
            (
                self.distinct(photons, self.smooth[0], *self.others(photons))
                for part, photons in self.parts
                if part.kind == _KINDS[tag]
            ),
            default=0.0,
        )

    def _minima_snr(self, component: Component, photons: np.ndarray) -> float:
        """Return the SNR of what no smooth fall explains; 0 for what has no minima."""
        if not isinstance(component, Sphere) or component.polydispersity > 0.2:
            return 0.0
        return self.minima_snr(photons, (0.7 * 4.49 / component.radius, 10.9 / component.radius))

    def part_verdict(self, photons: np.ndarray, snr: float) -> int:
        """Judge whether a part of this SNR is seen, in the views too, and is not more of the others."""
        enough = (photons > 0.1 * photons.max()).sum() * self.rendering.factor**2 >= 20
        decided = verdict(snr)
        if decided == YES and not (enough and self.contrast(photons) > 0.02 and self.view_snr(photons) >= 5):
            return IGNORED
        if decided == YES and self.distinct(photons, self.smooth[0], *self.others(photons)) < 5:
            return IGNORED
        return decided

    def halo_verdict(self, photons: np.ndarray, snr: float) -> int:
        """Judge a halo: it is a bump, and what a smooth background would explain as well is none to be sure of."""
        decided = self.part_verdict(photons, snr)
        if decided == YES and self.contrast(photons) < 0.08:
            return IGNORED
        if decided == YES and self.distinct(photons, *self.smooth, *self.others(photons)) < 5:
            return IGNORED
        return decided

    def halo(self) -> int:
        """Judge halos; rings that run into each other look like one, and so may a window."""
        found = self.visible("halo")
        blurred = any(
            _is_blurred(part.component) and snr >= 1 for (part, _), snr in zip(self.parts, self.snrs, strict=True)
        )
        return IGNORED if found == NO and (blurred or self.visible("window") != NO) else found

    def visible(self, kind: str) -> int:
        """Judge whether any part of a kind is seen."""
        judge = self.halo_verdict if kind == "halo" else self.part_verdict
        return max(
            (
                judge(photons, snr)
                for (part, photons), snr in zip(self.parts, self.snrs, strict=True)
                if part.kind == kind
            ),
            key=(NO, IGNORED, YES).index,
            default=NO,
        )

    def streak(self) -> int:
        """Judge streaks: a line is one whose part in the frame is ten times as long as wide."""
        found = self.visible("streak")
        for part, photons in self.parts:
            if found == YES and isinstance(part.component, Streak):
                line = part.component
                lit = (photons * self.valid > 0.1 * photons.max()) & (self.valid > 0.3)
                along = self.rendering.q[lit] * np.cos(self.rendering.chi[lit] - line.angle)
                length = np.ptp(np.percentile(along, [2, 98])) if along.size else 0.0
                return YES if length >= 10 * line.width else IGNORED
        return found

    def empty(self) -> int:
        """Judge emptiness: nothing of the sample is seen, nor a window."""
        window = self.visible("window")
        if self.strongest < 1:
            return YES if window == NO else IGNORED
        return NO if self.surest >= 5 else IGNORED

    def weak(self) -> int:
        """Judge weakness by the sum over the frame."""
        if self.strongest < 1:
            return NO
        if self.surest >= 5 and self.strongest < 20:
            return YES
        return NO if self.surest >= 30 else IGNORED

    def strong(self) -> int:
        """Judge strength by the sum over the frame."""
        return verdict(self.strongest, 400, 500)

    def low_q(self) -> int:
        """Judge what falls from the beam: without the beam's surroundings in the frame nobody can tell."""
        seen = self.rendering.q[self.valid > 0.3]
        found = self.visible("low_q")
        return IGNORED if found == YES and (not seen.size or seen.min() > 0.25 * seen.max()) else found

    def high_q(self) -> int:
        """Judge what rises or stays flat to the edge: there it outweighs all else.

        A flat background that does so looks like the plateau of a sample, and so does a halo that the edge cuts off,
        so nothing is certain then.
        """
        found = self.visible("high_q")
        q = self.rendering.q
        outer = (q > np.percentile(q[self.valid > 0.3], 60)) & (self.valid > 0.3)
        kinds = ("high_q",) if found == YES else ("background", "window")
        of_kind = [photons for part, photons in self.parts if part.kind in kinds]
        share = sum(photons[outer].sum() for photons in of_kind) / max(self.under[outer].sum(), 1e-9)
        if found == YES:
            return YES if share > 0.5 else IGNORED
        plateau = share > 0.5 and any(self.snr(photons, outer) >= 5 for photons in of_kind)
        cut = any(
            _at_edge(part.component, float(q[outer].max())) and snr >= 1
            for (part, _), snr in zip(self.parts, self.snrs, strict=True)
            if outer.any()
        )
        return IGNORED if plateau or cut else found

    def grazing(self) -> int:
        """Judge by the Yoneda band, or by the sample's horizon where that alone is seen."""
        below = self.rendering.below
        shaded = (below > 0.3 * self.under) & (self.valid > 0.3)
        snr = float(np.sqrt((below * (below * self.valid / (below + self.under + 1e-6))).sum()))
        horizon = verdict(snr) if shaded.mean() > 0.03 else NO if snr < 1 else IGNORED
        return max(self.visible("grazing"), horizon, key=(NO, IGNORED, YES).index)

    def high_background(self) -> int:
        """Compare with the visible sample: without one there is nothing to outweigh, and `empty` says it all."""
        if self.strongest < 5:
            return NO if self.strongest < 1 else IGNORED
        sample = np.sum([photons for part, photons in self.parts if part.kind in SAMPLE], axis=0)
        support = (sample > 0.1 * np.percentile(sample[self.valid > 0], 99.5)) & (self.valid > 0.3)
        if not support.any():  # all of the sample lies where hardly a pixel is
            return IGNORED
        stray = sum((photons for part, photons in self.parts if part.kind in ("parasitic", "flare")), 0.0)
        photons, under = float(sample[support].sum()), float((self.under - sample - stray)[support].sum())
        # What of the sample a flat level explains as well could be either.
        flat = min(float(np.percentile(sample[support], 5)) * support.sum(), 0.9 * photons)
        verdicts = {verdict(under / photons, 0.5, 1.0), verdict((under + flat) / (photons - flat), 0.5, 1.0)}
        return verdicts.pop() if len(verdicts) == 1 else IGNORED

    def beamstop(self) -> int:
        """Judge a beamstop by the photons that it takes away."""
        stops = [shadow for shadow in self.scene.shadows if isinstance(shadow, Beamstop)]
        if not stops:
            return NO
        passed = stops[0].factor(self.scene.geometry.bin(self.rendering.factor))
        missing = self.rendering.missing
        hidden = ((passed < 0.7) & (self.valid > 0.3)).sum()
        snr = np.sqrt((missing * (missing * self.valid / (missing + self.under + 1e-6))).sum())
        return YES if snr >= 10 and hidden >= 6 else NO if hidden == 0 else IGNORED

    def gaps(self) -> int:
        """Judge gaps: blocks that lack pixels."""
        # The last row and column of blocks may reach over the frame's edge.
        missing = (self.valid < 0.97)[:-1, :-1]
        if missing.mean() < 0.002:
            return NO
        if self.scene.defects.gap_value == 0 and (self.total * (1 - self.valid)).sum() < 100:
            return IGNORED
        return YES

    def beam_off(self) -> int:
        """Tell whether the direct beam passes beside the frame."""
        (x, y), (rows, columns) = self.scene.geometry.beam_centre, self.scene.geometry.shape
        outside = max(-x / columns, -y / rows, x / columns - 1, y / rows - 1)
        return IGNORED if abs(outside) < 0.02 else int(outside > 0)

    def form_factor(self) -> int:
        """Judge minima: they are seen where no smooth fall would explain the photons as well."""
        for part, photons in self.parts:
            sphere = part.component
            if isinstance(sphere, Sphere):
                seen = self.rendering.q[self.valid > 0.3]
                first, second, third = (x / sphere.radius for x in (4.49, 7.73, 10.9))
                inside = seen.min() < 0.9 * first and seen.max() > 0.5 * (second + third)
                clear = inside and sphere.polydispersity < 0.12
                if not clear:
                    return NO if sphere.polydispersity > 0.2 or self.snr(photons) < 1 else IGNORED
                return self.minima(photons, (0.7 * first, third))
        return NO

    def minima(self, photons: np.ndarray, between: tuple[float, float]) -> int:
        """Judge minima between two q, 1/angstrom."""
        decided = verdict(self.minima_snr(photons, between))
        inside = self._ring(between)
        bright = photons * inside > 0.2 * (photons * inside).max()
        share = photons[bright] / np.maximum(self.under[bright], 1e-9)
        return IGNORED if decided == YES and not (share.size and share.mean() >= 0.2) else decided

    def minima_snr(self, photons: np.ndarray, between: tuple[float, float]) -> float:
        """Return the SNR, between two q, of what no smooth fall explains."""
        inside, x = self._ring(between), self.rendering.q / between[1]
        falls = [inside * x**power for power in (-4, -2, 0, 1)]
        return self.distinct(photons * inside, *falls, *(other * inside for other in self.others(photons)))

    def _ring(self, between: tuple[float, float]) -> np.ndarray:
        q = self.rendering.q
        return ((q > between[0]) & (q < between[1])).astype(np.float32)

    def symmetry(self) -> dict[str, int]:
        """Judge the azimuthal folds: oriented (2), symmetry_4, symmetry_6."""
        names = {2: "oriented", 4: "symmetry_4", 6: "symmetry_6"}
        found = dict.fromkeys(names.values(), NO)
        for (part, photons), snr in zip(self.parts, self.snrs, strict=True):
            if part.kind in ("grazing", "rods"):  # the horizon leaves half a circle
                judged = dict.fromkeys(names, IGNORED)
            elif isinstance(part.component, Spots) and snr >= 1:
                judged = self._folds_of_spots(part.component, photons)
            elif isinstance(part.component, Textured):
                judged = self._folds_of_texture(part.component, photons)
            else:
                continue
            for fold, value in judged.items():
                found[names[fold]] = max(found[names[fold]], value, key=(NO, IGNORED, YES).index)
        clear = [name for name, value in found.items() if value == YES]
        if len(clear) > 1:  # two samples in one frame: which one dominates is a matter of taste
            found.update(dict.fromkeys(clear[1:], IGNORED))
        return found

    def _folds_of_spots(self, spots: Spots, photons: np.ndarray) -> dict[int, int]:
        axis = spots.order(2)
        orders = {fold: spots.order(fold, each_ring=True) for fold in (2, 4, 6)}
        visible = self._spots(spots, photons)["spots"] == YES and not self.beam_off()
        found = {2: YES if visible and axis > 0.6 else IGNORED if axis > 0.3 else NO}
        for fold in (4, 6):
            dominant = orders[fold] > 1.3 * max(value for other, value in orders.items() if other != fold)
            clear = visible and len(spots.q) >= 6 and orders[fold] > 0.5 and dominant
            found[fold] = YES if clear else IGNORED if dominant and orders[fold] > 0.3 else NO
        return found

    def _folds_of_texture(self, texture: Textured, photons: np.ndarray) -> dict[int, int]:
        even, chi = photons / texture.texture(self.rendering.chi), self.rendering.chi
        # A slope across the frame and a level could do as well.
        slopes = even * np.cos(chi), even * np.sin(chi)
        found = verdict(self.distinct(photons, even, *slopes, self.smooth[0], *self.others(photons)))
        contrast, azimuths = self.seen_contrast(texture, photons)
        if contrast < 0.3 or self.contrast(photons) < 0.1:
            found = min(found, NO if texture.contrast < self.slightest else IGNORED)
        if texture.fold > 2 and azimuths < 1.5 / texture.fold:  # too few azimuths to count maxima
            return dict.fromkeys((2, 4, 6), NO if found == NO else IGNORED)
        return {texture.fold: found}

    def seen_contrast(self, texture: Textured, photons: np.ndarray) -> tuple[float, float]:
        """Return (max - min) / (max + min) of the texture over the azimuths that are lit, and their share."""
        profile = texture.texture(self.rendering.chi)
        even = photons / profile
        lit = (self.valid > 0.3) & (even > 0.1 * np.percentile(even[self.valid > 0.3], 99))
        if not lit.any():
            return 0.0, 0.0
        low, high = np.percentile(profile[lit], [3, 97])
        sectors = np.unique((np.mod(self.rendering.chi[lit] / (2 * np.pi), 1) * 72).astype(int)).size
        return float((high - low) / (high + low)), sectors / 72

    def peaks(self) -> dict[str, int]:
        """Ring, spots, higher_orders and many_rings."""
        found = {"ring": NO, "spots": NO, "higher_orders": NO, "many_rings": NO}
        if self.visible("window") != NO:
            found["ring"] = IGNORED
        for part, photons in self.parts:
            for name, value in self._peaks_of(part, photons).items():
                found[name] = max(found[name], value, key=(NO, IGNORED, YES).index)
        return found

    def _peaks_of(self, part: Part, photons: np.ndarray) -> dict[str, int]:
        if part.kind == "spots" and isinstance(part.component, Spots):
            return self._spots(part.component, photons)
        texture = part.component if isinstance(part.component, Textured) else None
        rings = texture.component if texture else part.component
        if part.kind != "rings" or not isinstance(rings, Rings):
            return {}
        seen, hinted, round_ones = self._rings(rings, photons)
        decided = YES if round_ones else IGNORED if seen or hinted else NO
        if texture and texture.eta > 0.4:  # two arcs are no ring any more; where that begins is a matter of taste
            decided = min(decided, IGNORED if texture.eta < 0.7 else NO, key=(NO, IGNORED, YES).index)
        return {
            "ring": decided,
            "higher_orders": YES if seen >= 2 else IGNORED if seen + hinted >= 2 else NO,
            "many_rings": YES if seen >= 5 else IGNORED if seen + hinted >= 5 else NO,
        }

    def _rings(self, rings: Rings, photons: np.ndarray) -> tuple[int, int, int]:
        """Count rings that are visible, perhaps visible, and visible over 30 degrees."""
        q, sigma = self.rendering.q, rings.width * rings.q0
        seen = hinted = round_ones = 0
        for ratio in rings.ratios:
            on = (np.abs(q - ratio * rings.q0) < 1.5 * sigma) & (self.valid > 0.3)
            if on.sum() < 6:
                continue
            off = (np.abs(np.abs(q - ratio * rings.q0) - 4 * sigma) < sigma) & (self.valid > 0.3)
            rise = photons[on].mean() - (photons[off].mean() if off.any() else 0)
            snr = self.snr(np.maximum(photons, 0), on) * max(rise, 0) / (photons[on].mean() + 1e-12)
            clear = rise > 0.02 * (self.under[on].mean() - rise)
            if verdict(snr) == YES and clear:
                seen += 1
                sectors = np.unique((self.rendering.chi[on] * (36 / np.pi)).astype(int)).size
                round_ones += sectors >= 6
            elif snr >= 1:
                hinted += 1
        return seen, hinted, round_ones

    def _spots(self, spots: Spots, photons: np.ndarray) -> dict[str, int]:
        """Count connected patches that stand out of the noise: what cannot be told apart counts once."""
        significance = photons * self.valid / np.sqrt(self.noise)
        over = (photons > 0.2 * (self.under - photons)) & (significance > 1)
        count, patches = cv2.connectedComponents(over.astype(np.uint8), connectivity=8)
        strength = np.sqrt(np.bincount(patches.ravel(), (significance**2).ravel(), count))[1:]
        clear, faint = int((strength >= 5).sum()), int((strength >= 2).sum())
        found = YES if clear >= 3 else IGNORED if faint or clear else NO
        hidden = NO if self.snr(photons) < 1 else IGNORED
        radii = np.unique(np.round(np.array(spots.q) / (3 * spots.width_q))).size
        grains_per_radius = len(spots.q) / max(radii, 1)
        orders = YES if found == YES and radii >= 2 and clear >= 6 else hidden
        return {
            "spots": found,
            "ring": NO if grains_per_radius < 12 or hidden == NO else IGNORED,
            "higher_orders": orders,
            "many_rings": hidden,
        }


def _is_blurred(component: Component) -> bool:
    """Tell whether rings run into each other or have long tails, so that a broad bump is seen."""
    rings = component.component if isinstance(component, Textured) else component
    if not isinstance(rings, Rings):
        return False
    reach = (6 if rings.lorentzian else 3.5) * rings.width
    steps = np.diff(rings.ratios)
    return bool((steps < reach).any() or (rings.lorentzian and rings.width > 0.05))


def _at_edge(component: Component, edge: float) -> bool:
    """Tell whether a halo is still high at the edge of the frame (q in 1/angstrom)."""
    halo = component.component if isinstance(component, Textured) else component
    return isinstance(halo, Halo) and np.exp(-(max(edge / halo.q0 - 1, 0) ** 2) / (2 * halo.width**2)) > 0.4
