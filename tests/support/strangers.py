"""What strangers may write into start documents of a catalogue that is shared."""

from hypothesis import strategies as st

SUMMARY = {
    "max_p": {"empty": 0.1, "ring": 0.95},
    "count": {"empty": 0, "ring": 3},
    "fraction": {"empty": 0.0, "ring": 1.0},
    "frames": 3,
    "failed": 0,
    "model": "graded",
    "model_version": "1.0",
    "model_sha256": "ab" * 32,
    "name": "xtag",
    "source": "live",
    "derived": False,
}
WORD = {"event": "e1", "key": "det", "seq_num": 1, "index": 0, "added": [], "removed": ["ring"], "by": "xy", "note": ""}

_text = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**31), 2**31),
    st.floats(-1e6, 1e6, allow_nan=False, width=32),
    _text,
    st.sampled_from(["live", "replay", "human", "ab" * 32, "det", "model"]),
)
# The names in what is generated have no dots or dollars, which databroker's database does not take.
_names = st.one_of(st.sampled_from([*SUMMARY, *WORD, "said"]), st.text("abcxyz_", min_size=1, max_size=6))
arbitrary = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_names, inner, max_size=3)),
    max_leaves=6,
)


def _mutate(good):
    """Some entries of a dictionary replaced or left out."""
    changes = st.dictionaries(st.sampled_from([*good]), arbitrary, max_size=2)
    missing = st.sets(st.sampled_from([*good]), max_size=1)
    return st.builds(
        lambda new, gone: {key: value for key, value in {**good, **new}.items() if key not in gone}, changes, missing
    )


mutated_said = st.one_of(arbitrary, st.lists(_mutate(WORD), min_size=1, max_size=2))
mutated_summaries = st.one_of(
    _mutate(SUMMARY),
    _mutate({**SUMMARY, "source": "replay", "derived": True}),
    st.builds(lambda said: {**SUMMARY, "source": "human", "derived": True, "said": said}, mutated_said),
)


def start_of(summary, original="original"):
    """A start document of a derived run that holds a summary."""
    return {"uid": "derived", "time": 1e9, "original_run_uid": original, "purpose": "tags", "xtag": summary}
