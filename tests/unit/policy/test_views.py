"""What a subscription and a stream make of each other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import pyarrow as pa
import pytest
from pydantic import SecretBytes

from bus.catalog import Catalog, load
from bus.errors import FieldWithheld, NotEntitled
from bus.model import Item, Keeping, MaskKey, Sensitivity, Suppression, View
from bus.policy import LEDGER, Subscription, compile_view, ledger_view, load_subscriptions

TODAY = date(2026, 11, 24)
USUAL = {
    "legal_basis": [{"law": "law"}],
    "purpose": "purpose",
    "approver": "approver",
    "approved_on": date(2026, 4, 1),
    "expires_on": date(2029, 3, 31),
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load()


def subscription(**resident: object) -> Subscription:
    """A subscription to the resident stream; what is given replaces what is usual."""
    grant = {
        **USUAL,
        "event_types": ["resident.moved_in", "resident.died"],
        "fields": ["household_number", "name.full", "birth_date", "address", "protected"],
        **resident,
    }
    protection = {
        **USUAL,
        "event_types": ["protection.started", "protection.extended", "protection.ended"],
        "fields": ["status"],
    }
    return Subscription.model_validate(
        {
            "system": "child_allowance",
            "ja": "児童手当",
            "business_id": None,
            "ministry": "こども家庭庁",
            "separate_organ": None,
            "zone": "individual_number",
            "streams": {"resident": grant, "protection": protection},
        }
    )


def view_of(catalog: Catalog, **resident: object) -> View:
    return compile_view(subscription(**resident), catalog.stream("resident"), TODAY)


def test_a_view_is_header_flag_and_what_is_granted(catalog: Catalog) -> None:
    """Names and their order are the contract with every store."""
    view = view_of(catalog)

    assert view.schema.names == [
        "municipality_code", "subject_id", "version", "event_id", "event_type", "nature",
        "change_id", "change_size", "change_index", "reason", "effective_date",
        "effective_date_unknown", "effective_date_text", "notified_on", "processed_at", "source",
        "cancels", "protected", "household_number", "name_full", "birth_date",
        "birth_date_unknown", "birth_date_text", "address_municipality_code",
        "address_town_code", "address_prefecture", "address_municipality", "address_town",
        "address_lot", "address_building", "address_building_kana", "address_postal_code",
    ]  # fmt: skip
    assert view.keeping is Keeping.STATE
    assert view.key == ("municipality_code", "subject_id")
    assert view.event_types == {"resident.moved_in", "resident.died"}


def test_types_are_the_few_that_stores_know(catalog: Catalog) -> None:
    """Every column of every shipped view has one of these types."""
    few = {
        pa.string(), pa.int32(), pa.int64(), pa.bool_(), pa.date32(), pa.float64(),
        pa.timestamp("us", tz="UTC"), pa.list_(pa.string()), pa.list_(pa.date32()),
    }  # fmt: skip
    views = [
        compile_view(each, catalog.stream(stream), TODAY)
        for each in load_subscriptions(catalog).values()
        for stream in each.streams
    ]
    assert len(views) > 16
    assert {column.type for view in views for column in view.columns} <= few


def test_a_column_that_may_be_masked_is_nullable(catalog: Catalog) -> None:
    """A store that refused the null would refuse the mask."""
    view = view_of(catalog)

    columns = {column.name: column for column in view.columns}
    assert columns["address_municipality_code"].is_nullable
    assert columns["address_municipality_code"].sensitivity is Sensitivity.LOCATION
    assert not columns["subject_id"].is_nullable
    assert not columns["protected"].is_nullable


def test_an_item_that_is_never_null_is_nullable_if_it_may_be_masked(catalog: Catalog) -> None:
    """Also where the stream itself always has it."""
    stream = catalog.stream("resident")
    where = Item("household_number", "世帯番号", "setaibango", Sensitivity.LOCATION)
    grant = subscription(fields=["household_number", "protected"])

    view = compile_view(grant, replace(stream, items=(*stream.items, where)), TODAY)

    assert {column.name: column.is_nullable for column in view.columns}["household_number"]


def test_lists_of_records_become_lists(catalog: Catalog) -> None:
    """A household's members are two lists side by side."""
    subscriptions = load_subscriptions(catalog)
    view = compile_view(subscriptions["child_allowance"], catalog.stream("household"), TODAY)

    columns = {column.name: column.type for column in view.columns}
    assert columns["members_subject_id"] == pa.list_(pa.string())
    assert columns["members_relationship"] == pa.list_(pa.string())
    assert "protected" not in columns


@pytest.mark.parametrize(
    "changed",
    [
        {"event_types": ["resident.moved_in"]},
        {"fields": ["name.full", "birth_date", "protected"]},
        {"suppression": "capable", "suppression_reason": "reason"},
        {"masks": {"birth_date": "birth_year"}},
        {"masks": {"name.full": "last_four"}},  # of the same type
        {"where": [{"field": "sex", "equals": "1"}]},
        {"mode": "work_list"},
        {"legal_basis": [{"law": "another law"}]},
        {"purpose": "another purpose"},
        {"approver": "another"},
        {"approved_on": date(2026, 4, 2)},
        {"expires_on": date(2028, 3, 31)},
    ],
    ids=[
        "rows",
        "columns",
        "suppression",
        "mask",
        "mask of a text",
        "conditions",
        "mode",
        "law",
        "purpose",
        "approver",
        "approval",
        "expiry",
    ],
)
def test_whatever_a_system_would_see_is_in_the_fingerprint(
    catalog: Catalog, changed: dict[str, object]
) -> None:
    """A receipt names the view and its ground by one fingerprint, years later too."""
    assert view_of(catalog, **changed).fingerprint != view_of(catalog).fingerprint


def test_a_fingerprint_is_the_digest_of_the_views_statement(catalog: Catalog) -> None:
    """Whoever has the statement can check it, without this program."""
    view = view_of(catalog)

    assert hashlib.sha256(view.statement.encode()).hexdigest() == view.fingerprint
    assert json.loads(view.statement)["ground"]["expires_on"] == view.ground.expires_on.isoformat()


def test_a_new_schema_version_gives_a_new_fingerprint(catalog: Catalog) -> None:
    """The same names read from another schema may mean something else."""
    stream = catalog.stream("resident")
    newer = replace(stream.latest, fingerprint="0" * 64)

    view = compile_view(subscription(), replace(stream, versions=(newer,)), TODAY)

    assert view.fingerprint != view_of(catalog).fingerprint


def test_words_are_not_in_the_fingerprint(catalog: Catalog) -> None:
    """The order in which fields are written, or a reason beside the rule, is the same view."""
    same = view_of(
        catalog,
        suppression_reason="another",
        fields=["protected", "address", "birth_date", "name.full", "household_number"],
        event_types=["resident.died", "resident.moved_in"],
    )
    rules = [{"field": "sex", "equals": "1"}, {"field": "relationship", "is_null": False}]

    assert (
        view_of(catalog, where=rules).fingerprint == view_of(catalog, where=rules[::-1]).fingerprint
    )
    assert same.fingerprint == view_of(catalog).fingerprint
    assert same == view_of(catalog)


@pytest.mark.parametrize(
    ("day", "granted"),
    [
        (date(2026, 3, 31), False),
        (date(2026, 4, 1), True),
        (date(2029, 3, 31), True),
        (date(2029, 4, 1), False),
    ],
)
def test_a_grant_is_in_force_between_its_days(catalog: Catalog, day: date, granted: bool) -> None:
    """From the day of approval to the day of expiry, both included."""
    stream = catalog.stream("resident")

    if granted:
        assert compile_view(subscription(), stream, day).system == "child_allowance"
    else:
        with pytest.raises(NotEntitled):
            compile_view(subscription(), stream, day)


def test_a_stream_that_is_not_granted_is_refused(catalog: Catalog) -> None:
    """Silence grants nothing."""
    with pytest.raises(NotEntitled) as caught:
        compile_view(subscription(), catalog.stream("household"), TODAY)
    assert caught.value.where == {"system": "child_allowance", "stream": "household"}


def test_the_flag_is_there_even_if_it_was_not_asked_for(catalog: Catalog) -> None:
    """A stream with locations is never seen without it."""
    view = view_of(catalog, fields=["name.full"])

    assert "protected" in view.schema.names


def test_an_unknown_field_is_refused(catalog: Catalog) -> None:
    """A grant of something that is not there is not silently smaller."""
    with pytest.raises(FieldWithheld):
        view_of(catalog, fields=["name.full", "shoe_size"])


def test_half_a_name_is_no_grant(catalog: Catalog) -> None:
    """Granting ``name`` does not grant what merely begins with it."""
    assert not any(
        "_family" in name for name in view_of(catalog, fields=["name.full"]).schema.names
    )
    with pytest.raises(FieldWithheld):
        view_of(catalog, fields=["address.town_"])


@pytest.mark.parametrize("path", ["birth_date", "address", "address.lot", "name"])
def test_a_restricted_item_has_its_ordinance_or_stays(catalog: Catalog, path: str) -> None:
    """Also where what holds it is what was granted."""
    stream = catalog.stream("resident")
    restricted = Item(path, "個人番号", "kojinbango", Sensitivity.RESTRICTED)

    with pytest.raises(FieldWithheld):
        compile_view(subscription(), replace(stream, items=(*stream.items, restricted)), TODAY)


def test_an_item_that_nobody_judged_stops_every_view(catalog: Catalog) -> None:
    """No sensitivity means no."""
    stream = catalog.stream("resident")
    items = tuple(item for item in stream.items if item.path != "address.lot")

    with pytest.raises(FieldWithheld) as caught:
        compile_view(subscription(), replace(stream, items=items), TODAY)
    assert caught.value.where["field"] == "address.lot"


def test_the_stricter_word_counts(catalog: Catalog) -> None:
    """A record that is a location makes everything in it one."""
    stream = catalog.stream("resident")
    whole = Item("name", "氏名", "shimei", Sensitivity.LOCATION)

    view = compile_view(subscription(), replace(stream, items=(*stream.items, whole)), TODAY)

    assert {c.name: c.sensitivity for c in view.columns}["name_full"] is Sensitivity.LOCATION


def test_a_location_without_the_household_is_refused(catalog: Catalog) -> None:
    """A store could not find the rows of whoever shares a protected person's household."""
    with pytest.raises(FieldWithheld, match="without the ids") as refused:
        view_of(catalog, fields=["name.full", "address", "protected"])

    assert refused.value.where["field"] == "household_number"
    view_of(catalog, fields=["name.full", "protected"])
    capable = {"suppression": "capable", "suppression_reason": "it writes to the person"}
    with pytest.raises(FieldWithheld, match="without the ids"):
        view_of(catalog, fields=["name.full", "address", "protected"], **capable)


def test_a_location_without_the_ids_of_all_whose_it_is_is_refused(catalog: Catalog) -> None:
    """A levy's address is also that of a co-owner, whom the store must be able to find."""
    levy = catalog.stream("fixed_asset_tax.levy")
    named = ["taxpayer_subject_id", "tax_agent_subject_id", "co_owners.subject_id"]
    for left_out in named:
        fields = [path for path in (*named, "mailing_address", "protected") if path != left_out]
        with pytest.raises(FieldWithheld) as refused:
            compile_view(_only(levy.name, fields, levy.event_types), levy, TODAY)
        assert refused.value.where["field"] == left_out

    whole = _only(levy.name, [*named, "mailing_address", "protected"], levy.event_types)
    view = compile_view(whole, levy, TODAY)
    assert set(view.located_columns) == {
        "taxpayer_subject_id", "tax_agent_subject_id", "co_owners_subject_id",
    }  # fmt: skip
    assert view.is_fenced
    assert view.withheld == view.locations


def _only(stream: str, fields: list[str], event_types: Sequence[str]) -> Subscription:
    """A subscription to one stream, beside what is usual."""
    usual = subscription()
    grant = usual.streams["resident"].model_copy(
        update={"fields": tuple(fields), "event_types": tuple(event_types)}
    )
    return usual.model_copy(update={"streams": {**usual.streams, stream: grant}})


@pytest.mark.parametrize(
    ("stream", "fields", "missing"),
    [
        ("application.received", ["protected"], "applicant_subject_id"),
        ("light_vehicle_tax.vehicle", ["owner_subject_id"], "user_subject_id"),
        ("school_enrollment.enrollment", ["protected"], "guardian_subject_id"),
        ("electoral_roll.registration", ["registered"], None),
        ("resident", ["name.full"], None),
    ],
)
def test_a_flag_without_the_ids_by_which_it_is_kept_is_refused(
    catalog: Catalog, stream: str, fields: list[str], missing: str | None
) -> None:
    """Also where no location is granted; the household is asked for beside one only."""
    known = catalog.stream(stream)
    grant = load_subscriptions(catalog)["corporate_resident_tax"]
    changed = grant.streams["resident"].model_copy(
        update={"fields": tuple(fields), "event_types": known.event_types}
    )
    subscription = grant.model_copy(update={"streams": {stream: changed}})
    if missing is None:
        assert compile_view(subscription, known, TODAY).is_fenced
        return
    with pytest.raises(FieldWithheld, match="the flag") as refused:
        compile_view(subscription, known, TODAY)
    assert refused.value.where["field"] == missing


def test_a_location_without_the_flag_is_refused(catalog: Catalog) -> None:
    """A stream that could not say who is protected is seen by nobody."""
    stream = catalog.stream("household")
    where = Item("head_subject_id", "世帯主", "setainushi", Sensitivity.LOCATION)
    grant = load_subscriptions(catalog)["child_allowance"]
    items = (*(i for i in stream.items if i.path != where.path), where)

    with pytest.raises(FieldWithheld, match="flag"):
        compile_view(grant, replace(stream, items=items), TODAY)


@pytest.mark.parametrize("stream", ["resident", "household", "protection"])
def test_the_ledger_sees_identifiers_only(catalog: Catalog, stream: str) -> None:
    """It answers who was given what about whom, and holds nothing about them."""
    view = ledger_view(catalog.stream(stream))

    assert view.system == LEDGER
    assert view.keeping is Keeping.HISTORY
    assert view.key == ("log_partition", "log_offset")
    assert view.schema.names == [
        "municipality_code", "subject_id", "version", "event_id", "event_type", "nature",
        "change_id", "change_size", "change_index", "processed_at", "source", "cancels",
        "log_partition", "log_offset",
    ]  # fmt: skip
    assert view.event_types == frozenset()


@pytest.mark.parametrize("stream", ["receipt", "exception", "operation", "erasure"])
def test_the_ledger_keeps_internal_streams_whole(catalog: Catalog, stream: str) -> None:
    """They are the bus's own words about itself."""
    view = ledger_view(catalog.stream(stream))

    own = [item.path for item in catalog.stream(stream).items]
    assert view.schema.names == [*own, "log_partition", "log_offset"]


def test_corporate_tax_gets_very_little(catalog: Catalog) -> None:
    """A system without need of the person has no address and no birth date."""
    grant = load_subscriptions(catalog)["corporate_resident_tax"]
    view = compile_view(grant, catalog.stream("resident"), TODAY)

    assert not any(column.sensitivity is Sensitivity.LOCATION for column in view.columns)
    assert not any(name.startswith("birth") for name in view.schema.names)


def test_most_systems_withhold(catalog: Catalog) -> None:
    """Being trusted with a protected person's address is the exception, and has its reason."""
    grants = {
        system: each.streams["resident"]
        for system, each in load_subscriptions(catalog).items()
        if "resident" in each.streams
    }
    capable = {s for s, g in grants.items() if g.suppression is Suppression.CAPABLE}

    assert capable == {"national_health_insurance", "public_assistance"}
    assert all(grants[system].suppression_reason for system in capable)


def test_a_mask_changes_the_column_not_its_name(catalog: Catalog) -> None:
    """The type is what is left; the flag of an unknown date stays, its wording goes."""
    view = view_of(catalog, masks={"birth_date": "age_band", "address": "town_only"})

    columns = {column.name: column for column in view.columns}
    assert columns["birth_date"].type == pa.string()
    assert str(columns["birth_date"].mask) == "age_band"
    assert columns["birth_date_unknown"].mask is None
    assert str(columns["birth_date_text"].mask) == "withhold"
    masked = {name for name, column in columns.items() if column.mask and "address" in name}
    assert masked == {
        "address_lot", "address_building", "address_building_kana", "address_postal_code",
    }  # fmt: skip


def test_a_key_is_in_the_fingerprint_by_its_id_alone(catalog: Catalog) -> None:
    """Another secret under the same id is the same view; another id is another one."""
    stream, grant = catalog.stream("resident"), subscription(masks={"name.full": "keyed_hash"})

    def fingerprint(name: str, secret: bytes) -> str:
        key = MaskKey(name, SecretBytes(secret))
        return compile_view(grant, stream, TODAY, {"child_allowance": key}).fingerprint

    assert fingerprint("a", b"x" * 32) == fingerprint("a", b"y" * 32)
    assert fingerprint("a", b"x" * 32) != fingerprint("b", b"x" * 32)
    with pytest.raises(FieldWithheld, match="key"):
        compile_view(grant, stream, TODAY, {"other": MaskKey("a", SecretBytes(b"x" * 32))})


@pytest.mark.parametrize(
    "changed",
    [
        {"masks": {"sex": "withhold"}},
        {"masks": {"protected": "withhold"}},
        {"masks": {"address": "last_four"}},
        {"where": [{"field": "address.town", "equals": "x"}]},
        {"where": [{"field": "shoe_size", "equals": "x"}]},
    ],
    ids=["not granted", "the flag", "does not fit", "a place", "no item"],
)
def test_what_the_check_refuses_makes_no_view_either(
    catalog: Catalog, changed: dict[str, object]
) -> None:
    """The second lock: a subscription that nobody checked."""
    with pytest.raises(FieldWithheld):
        view_of(catalog, **changed)


def test_a_restricted_item_without_its_ordinance_makes_no_view(catalog: Catalog) -> None:
    """And one with it says so, for whoever looks at the columns."""
    known = load_subscriptions(catalog)["child_allowance"]
    grant = known.streams["individual_number"]
    stream = catalog.stream("individual_number")
    bare = known.model_copy(
        update={"streams": {"individual_number": grant.model_copy(update={"number_use": None})}}
    )

    assert compile_view(known, stream, TODAY).may_have_restricted
    with pytest.raises(FieldWithheld, match="ordinance"):
        compile_view(bare, stream, TODAY)


def test_a_location_needs_protection_beside_it(catalog: Catalog) -> None:
    """A store that hears of no protection could not be held to it."""
    alone = subscription()
    alone = alone.model_copy(update={"streams": {"resident": alone.streams["resident"]}})

    with pytest.raises(NotEntitled, match="protection"):
        compile_view(alone, catalog.stream("resident"), TODAY)


def test_notify_only_is_header_and_flag(catalog: Catalog) -> None:
    """That something happened to a subject, and whether it is protected."""
    view = view_of(catalog, fields=[], mode="notify_only")

    assert [c.name for c in view.columns if not c.path.startswith("header.")] == ["protected"]
