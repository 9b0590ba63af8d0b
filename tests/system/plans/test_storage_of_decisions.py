"""Decisions do not wait for storage."""

from bluesky_xtag.plans import tag_adaptive_scan


def test_decisions_do_not_wait_for_storage(RE, seen, graded, decisions, axis, peak, tiled_sqlite_catalog):
    """The store writes only when the run ends; the plan decides all the same."""
    from bluesky_tiled_plugins import TiledWriter

    RE.subscribe(TiledWriter(tiled_sqlite_catalog))
    stored = []

    def look(name, doc):
        if name == "stop":
            return
        run = tiled_sqlite_catalog.get(seen.start()["uid"])
        stored.append(0 if run is None or "decisions" not in run else len(run["decisions"].read()))

    RE.subscribe(look, "event")
    RE(tag_adaptive_scan([peak], graded(), "random", axis, 0, 6, max_points=3))
    assert set(stored) == {0}
    assert len(decisions()) == 4
