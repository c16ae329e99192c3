"""Documents: one shape for each value that is shown, with a name and a version of its keys."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest

from bus.operate import documents
from bus.operate.documents import Shape, of
from bus.operate.documents.shape import SHAPES, Document, known, listed, named, shaped, shown

FOLDER = Path(__file__).parents[3] / "bus" / "operate" / "documents"

KEYS = {
    ("anchor", 1): "at digest heads",
    ("deed", 1): "account act actor at count place proved reason stream subject_digest system",
    ("deeds-page", 1): "after deeds",
    ("difference", 1): (
        "changes_view conditions_gone conditions_new event_types_gained event_types_lost"
        " gained ground kind lost masks mode needs_rebuild purpose removes stream stream_ja"
        " suppression system system_ja terms"
    ),
    ("engines", 1): "engines error home since supervisor_pid up",
    ("engines-down", 1): "seconds was_up",
    ("engines-fetched", 1): "fetched",
    ("engines-reset", 1): "deleted",
    ("engines-up", 1): "was_up",
    ("erasure", 1): (
        "at copies known_events not_reached null_values set_aside state streams waits_for"
    ),
    ("finding", 1): "mend name says verdict",
    ("half-filled", 1): "is_dry",
    ("key", 1): "id is_current made_at",
    ("key-made", 1): "dry_run file id made_at",
    ("loaded", 1): (
        "already_there changes dry_run events lines published refused refused_lines seconds"
        " warnings"
    ),
    ("operation", 1): "at code offset operator partition reason state stream system",
    ("outbox", 1): "",
    ("outbox-installed", 1): "is_installed script system",
    ("owed", 1): "columns edition event_types everything number since stream system",
    ("owed-settled", 1): "is_dry settled",
    ("parked-dismissed", 1): "dismissed is_dry",
    ("parked-event", 1): (
        "at attempts code event_id offset operator partition reason since state stream"
        " subject system"
    ),
    ("parked-event-listed", 1): "overdue",
    ("parked-retried", 1): "asked_to_try is_dry",
    ("protection", 1): "cases open subject",
    ("protection-case", 1): "ends_on kind shared_with started_on status suppresses",
    ("protection-shown", 1): "covers same_address_not_covered unread",
    ("protections-ended", 1): "ended persons refused stay_by_another_case would_end",
    ("provision", 1): (
        "change_id event_id event_type given_at offset partition processed_at receipt replay"
        " stream subject_id system version view"
    ),
    ("provisions-by", 1): "days events system views",
    ("provisions-of", 2): (
        "after erasure may_be_named_in municipality_code notes protection_recorded provisions"
        " subject_id views"
    ),
    ("provisions-page", 1): "after provisions",
    ("pruned", 1): "dry_run",
    ("pruning", 1): "before events exceptions operations receipts",
    ("reach", 1): "all_clear applied change_id complete events expected size systems",
    ("rebuilt", 1): "added changed events kept removed",
    ("recorded-view", 1): (
        "approved_on approver conditions event_types expires_on items legal_basis mode"
        " number_use purpose schema_version stream stream_ja suppression system system_ja"
    ),
    ("reference", 1): "check folder pages",
    ("refused-change", 1): "",
    ("refused-dropped", 1): "dropped is_dry",
    ("refused-put-back", 1): "is_dry put_back",
    ("schema", 1): "items",
    ("schemas", 1): "",
    ("schemas-checked", 1): "codes examples faults readers streams versions",
    ("schemas-pushed", 1): "",
    ("sealed", 1): "is_current is_there may_be_retired",
    ("simulated", 1): "columns rows rows_gained rows_lost touched unreadable",
    ("skipped", 1): "event is_dry is_held operator reason",
    ("skipping", 1): "subject systems",
    ("stream", 1): "",
    ("stream-status", 1): "",
    ("streams", 1): "",
    ("subscription", 1): "",
    ("subscriptions", 1): "ja refused streams system",
    ("subscriptions-applied", 1): "applied changes is_dry rebuild unchanged warnings",
    ("subscriptions-checked", 1): "faults subscriptions warnings",
    ("system", 1): "can connector store",
    ("systems", 1): "",
    ("throughput", 1): "",
    ("to-rebuild", 1): "events",
    ("topic", 1): "drift events partitions topic",
    ("topic-applied", 1): "action",
    ("unhosted", 1): "reason state system",
    ("verdict", 1): (
        "ahead anchor chains compacted deeds deeds_proved deeds_without_end digests events"
        " events_compacted"
        " false_views findings forks good in_log lanes no_longer_in_log proved pruned_before"
        " receipts repeats unproved unreadable_in_log unrecorded_views views wrong_marks"
    ),
}
"""What is written out in each shape, without what another shape is put into it. A key that is added
is added here; one that goes, or means something else, is the next version."""


def written() -> dict[tuple[str, int], str]:
    """The keys that each shape's function writes at its top, by name and version."""
    found = {}
    for file in sorted(FOLDER.glob("*.py")):
        for function in ast.parse(file.read_text(encoding="utf-8")).body:
            for call in getattr(function, "decorator_list", []):
                kind = getattr(getattr(call, "func", None), "id", "")
                if isinstance(call, ast.Call) and kind in ("shaped", "named"):
                    first = 1 if kind == "shaped" else 0
                    name, *more = (ast.literal_eval(each) for each in call.args[first:])
                    found[name, *(more or [1])] = " ".join(sorted(_keys(function)))
    return found


def _keys(function: ast.AST) -> set[str]:
    """Of its outermost dictionaries."""
    found: set[str] = set()
    inner: set[ast.AST] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Dict) and node not in inner:
            found |= {key.value for key in node.keys if isinstance(key, ast.Constant)}
            inner |= {each for value in node.values for each in ast.walk(value)}
        if isinstance(node, ast.DictComp):
            inner |= set(ast.walk(node))
    return found


def test_the_keys_of_each_version_are_these() -> None:
    """Scripts and pages rest on them."""
    assert written() == KEYS


def test_every_shape_has_a_name_of_its_own() -> None:
    """And is among those above."""
    names = [(shape.name, shape.version) for shape in known().values()]

    assert len(set(names)) == len(names)
    assert set(names) <= set(KEYS)
    assert len({name for name, _ in KEYS}) == len(KEYS)
    assert Shape("operation") == Shape("operation", 1)


def test_what_has_no_document_is_said() -> None:
    """It is a defect of whoever shows it."""
    with pytest.raises(TypeError, match="no document of a int"):
        of(3)


@dataclass(frozen=True)
class Word:
    """Something that has a document."""

    said: str


@named("words")
def words(values: list[Word]) -> list[Document]:
    """Several, each by itself."""
    return [{**of(value), "length": len(value.said)} for value in values]


def test_what_is_shown_says_which_it_is() -> None:
    """By its first key; a list is one of such documents, and what stands inside says nothing."""
    shaped(Word, "word", 2)(lambda value: {"said": value.said})
    assert shown(Word("a")) == {"document": "word/2", "said": "a"}
    assert next(iter(shown(Word("a")))) == "document"
    assert of(Word("a")) == {"said": "a"}
    assert listed([Word("a"), Word("b")]) == [shown(Word("a")), shown(Word("b"))]
    assert words([Word("ab")]) == [{"document": "words/1", "said": "ab", "length": 2}]
    assert words([]) == []
    del SHAPES[Word]


def test_commands_find_every_document_by_name() -> None:
    """The list of where each lies is right."""
    for name in documents.__all__:
        assert getattr(documents, name) is not None
    with pytest.raises(AttributeError):
        documents.nothing  # noqa: B018 - asking is the test
