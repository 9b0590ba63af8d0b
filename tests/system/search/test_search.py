"""Runs and frames are found by their tags; that every kind of catalogue searches alike is said in its contract."""

from types import SimpleNamespace

import pytest
from support.archives import Retrained, opened, record, replayed
from support.models import GradedModel
from tiled.queries import Key

from bluesky_xtag import NoTagsError, XTagValueError
from bluesky_xtag.review import correct
from bluesky_xtag.search import HasTag, find_similar, frames_with_tag, runs_with_tag, summarise_runs, tags


def stored(request, kind):
    """Summarised runs of one proposal, among others, in a kind of catalogue."""
    store = opened(request, kind)
    few, many, none, low, old = record(
        store.insert, [10, 95, 30], [92, 99, 96, 20], [], [10, 12], [91], proposal=f"search {kind}"
    )
    again = replayed(store.insert, few, [97, 96, 95])
    summarise_runs(store.catalog)
    mine = store.runs.search(Key("start.proposal") == f"search {kind}")
    names = {"few": few, "many": many, "none": none, "low": low, "old": old, "again": again}
    return SimpleNamespace(catalog=store.catalog, runs=store.runs, mine=mine, uid=SimpleNamespace(**names))


@pytest.fixture(scope="module")
def archive(request):
    return stored(request, "tiled sqlite")


def test_databroker_from_end_to_end(request):
    archive = stored(request, "databroker.temp")
    assert set(runs_with_tag(archive.mine, "ring", 0.96)) == {archive.uid.many}
    found = frames_with_tag(archive.catalog, "ring")
    assert list(found["run"]) == [archive.uid.few, *[archive.uid.many] * 3, archive.uid.old]
    assert list(found["motor"].dropna()) == [2, 1, 2, 3, 1]
    assert list(runs_with_tag(archive.catalog, "ring", model="graded 2.0")) == [archive.uid.again]
    assert list(find_similar(archive.catalog, archive.catalog[archive.uid.many], 3, count=1)["run"]) == [
        archive.uid.few
    ]
    assert list(tags(archive.catalog[archive.uid.few], "graded 1.0")["xtag_p_ring"]) == pytest.approx([0.1, 0.95, 0.3])
    with pytest.raises(XTagValueError, match="did you mean 'graded'"):
        runs_with_tag(archive.catalog, "ring", model="gradde")


def test_a_server_is_searched_over_http(request):
    archive = stored(request, "serve sqlite")
    assert set(runs_with_tag(archive.mine, "ring", 0.96)) == {archive.uid.many}
    assert set(archive.mine.search(HasTag("ring", 0.96))) == {archive.uid.many}
    assert set(runs_with_tag(archive.mine, "ring", fraction=0.75)) == {archive.uid.many, archive.uid.old}
    found = frames_with_tag(archive.mine, "ring")
    assert set(found["run"]) == {archive.uid.few, archive.uid.many, archive.uid.old}


def test_runs_are_found_by_the_largest_score(archive):
    assert set(runs_with_tag(archive.mine, "ring")) == {archive.uid.few, archive.uid.many, archive.uid.old}
    assert set(runs_with_tag(archive.mine, "ring", 0.96)) == {archive.uid.many}
    assert set(runs_with_tag(archive.mine, "ring", 0)) == {*archive.mine} - {archive.uid.none}
    assert set(runs_with_tag(archive.mine, "ring", 1)) == set()


def test_by_the_share_of_frames(archive):
    assert set(runs_with_tag(archive.mine, "ring", fraction=0.75)) == {archive.uid.many, archive.uid.old}
    assert set(runs_with_tag(archive.mine, "ring", fraction=1)) == {archive.uid.old}


def test_by_time(archive):
    start = {uid: archive.runs[uid].metadata["start"]["time"] for uid in (archive.uid.many, archive.uid.old)}
    since = start[archive.uid.many]
    assert set(runs_with_tag(archive.mine, "ring", since=since)) == {archive.uid.many, archive.uid.old}
    until = start[archive.uid.old]
    assert set(runs_with_tag(archive.mine, "ring", until=until)) == {archive.uid.few, archive.uid.many}
    assert not len(runs_with_tag(archive.mine, "ring", until="2020-02-02"))
    with pytest.raises(XTagValueError, match="give dates such as"):
        runs_with_tag(archive.mine, "ring", since="yesterday")


def test_composes_with_the_queries_of_the_ecosystem(archive):
    scans = archive.mine.search(Key("start.plan_name") == "scan")
    found = runs_with_tag(scans, "ring").search(Key("start.num_points") == 3)
    assert list(found) == [archive.uid.few]
    assert set(archive.mine.search(HasTag("ring", 0.96))) == {archive.uid.many}
    assert list(archive.mine.search(HasTag("ring")).search(Key("start.num_points") == 1)) == [archive.uid.old]


@pytest.mark.parametrize(
    "model", ["graded 2.0", "cd" * 32, "cdcdcdcdc", Retrained()], ids=["name", "sha256", "beginning", "model"]
)
def test_a_model_finds_its_own_taggings(archive, model):
    found = runs_with_tag(archive.catalog, "ring", model=model).search(Key("start.original_run_uid") == archive.uid.few)
    assert list(found) == [archive.uid.again]
    assert not len(runs_with_tag(archive.mine, "ring", model=model))


@pytest.mark.parametrize("model", ["graded", "graded 1.0", "abababab"])
def test_a_model_finds_the_runs_it_tagged_live(archive, model):
    assert archive.uid.few in set(runs_with_tag(archive.mine, "ring", model=model))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("gradde", "by the model 'gradde': did you mean 'graded'"),
        ("graded 1.1", "did you mean 'graded 1.0' or 'graded 2.0'"),
        ("ababababcb", f"did you mean '{'ab' * 6}'"),
        ("nothing like it", "there are tags by .*'graded 2.0'"),
    ],
)
def test_a_misspelt_model_is_named_with_what_may_be_meant(archive, model, message):
    for search in (runs_with_tag, frames_with_tag):
        with pytest.raises(XTagValueError, match=message):
            search(archive.mine, "ring", model=model)
    with pytest.raises(NoTagsError, match=f"run {archive.uid.few} has no tags .*{message.rpartition(': ')[2]}"):
        tags(archive.runs[archive.uid.few], model)


def test_an_unknown_tag_is_named_with_what_may_be_meant(archive):
    with pytest.raises(XTagValueError, match="a tag 'rings'; did you mean 'ring'"):
        runs_with_tag(archive.catalog, "rings")
    with pytest.raises(XTagValueError, match="known tags: .*ring"):
        runs_with_tag(archive.catalog, "qqq")
    assert not len(runs_with_tag(archive.mine, "halo"))  # a known tag that these models do not have


@pytest.mark.parametrize("wrong", [{"at_least": 1.5}, {"at_least": -0.1}, {"fraction": 50}])
def test_shares_are_between_0_and_1(archive, wrong):
    with pytest.raises(XTagValueError, match="is not a share"):
        runs_with_tag(archive.catalog, "ring", **wrong)


def test_frames_with_their_positions_and_scores(archive):
    found = frames_with_tag(archive.mine, "ring")
    assert set(found["run"]) == {archive.uid.few, archive.uid.many, archive.uid.old}
    many = found[found["run"] == archive.uid.many]
    assert list(many["motor"]) == [1, 2, 3]
    assert list(many["p_ring"]) == pytest.approx([0.92, 0.99, 0.96])
    assert list(many["seq_num"]) == list(many["row"]) == [1, 2, 3]
    assert set(many["tags"]) == {"ring"}
    assert set(many["status"]) == {"ok"}
    assert set(many["scan_id"]) == {2}
    assert frames_with_tag(archive.mine, "halo").empty


def test_frames_of_a_replay_are_those_of_the_original_run(archive):
    found = frames_with_tag(archive.catalog, "ring", model="graded 2.0")
    mine = found[found["run"] == archive.uid.few]
    assert list(mine["p_ring"]) == pytest.approx([0.97, 0.96, 0.95])
    assert list(mine["motor"]) == [1, 2, 3]
    assert set(mine["scan_id"]) == {1}


def test_similar_frames_come_nearest_first(archive):
    found = find_similar(archive.mine, archive.runs[archive.uid.many], 3, distance=0.2)
    assert list(found["distance"]) == pytest.approx([0.01, 0.03, 0.04, 0.05], abs=1e-6)
    assert list(found["run"]) == [archive.uid.few, archive.uid.many, archive.uid.many, archive.uid.old]
    assert list(found["row"]) == [2, 2, 1, 1]
    assert list(find_similar(archive.mine, archive.runs[archive.uid.many], 3, count=2)["row"]) == [2, 2]
    with pytest.raises(XTagValueError, match="has no frame 9"):
        find_similar(archive.mine, archive.runs[archive.uid.many], 9)


def test_tags_of_the_newest_tagging_or_of_a_model(archive):
    run = archive.runs[archive.uid.few]
    assert list(tags(run)["xtag_p_ring"]) == pytest.approx([0.97, 0.96, 0.95])
    for mine in ("own", "graded 1.0", "ab" * 4, GradedModel()):
        assert list(tags(run, mine)["xtag_p_ring"]) == pytest.approx([0.1, 0.95, 0.3])
    assert list(tags(run, "graded 2.0", catalog=archive.catalog)["xtag_p_ring"]) == pytest.approx([0.97, 0.96, 0.95])
    with pytest.raises(NoTagsError, match="no tags by the model 'another': "):
        tags(run, "another")


def test_an_unfinished_replay_is_no_tagging(request):
    store = opened(request, "tiled sqlite")
    (uid,) = record(store.insert, [50])
    replayed(store.insert, uid, [90], exit_status="abort")
    assert list(tags(store.runs[uid])["xtag_p_ring"]) == [0.5]


def test_where_a_person_decided_that_counts_and_not_the_score(request):
    store = opened(request, "tiled sqlite")
    (uid,) = record(store.insert, [10, 95, 93], proposal="corrected")
    summarise_runs(store.catalog)
    run = store.runs[uid]
    correct(run, 2, remove=["ring"], by="ab")
    correct(run, 1, add=["ring"], by="ab")
    found = frames_with_tag(store.runs.search(Key("start.proposal") == "corrected"), "ring")
    assert list(found["row"]) == [1, 3]
    assert list(found["decided_by"]) == ["ab", "model"]
    assert list(found["p_ring"]) == pytest.approx([0.1, 0.93])
