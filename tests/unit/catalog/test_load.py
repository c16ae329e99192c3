"""The loader: what is shipped is without fault, and what is spoilt is refused with its place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bus.catalog import Catalog, check, load
from bus.catalog.load import SHIPPED
from bus.errors import FilesRefused, SchemaUnknown
from bus.model import Sensitivity

Edit = Callable[[str, Callable[[Any], None]], Path]

HOUSEHOLD = "streams/household/v1.avsc"
RESIDENT = "streams/resident/v2.avsc"


def field(value: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(entry for entry in value["fields"] if entry["name"] == name)
    return found


def test_what_is_shipped_has_no_fault() -> None:
    """The shipped files pass every rule."""
    assert [str(fault) for fault in check(SHIPPED)] == []


def test_streams_and_versions(catalog: Catalog) -> None:
    """Every folder is a stream, every file in it a version; who has a location is known."""
    assert {name: len(stream.versions) for name, stream in catalog.streams.items()} == {
        folder.name: len(list(folder.glob("v*.avsc"))) for folder in (SHIPPED / "streams").iterdir()
    }
    assert [name for name, stream in catalog.streams.items() if stream.has_location] == [
        "application.received",
        "child_childcare_support.certification",
        "electoral_roll.registration",
        "fixed_asset_tax.levy",
        "light_vehicle_tax.vehicle",
        "nonresident",
        "resident",
        "school_enrollment.enrollment",
    ]
    assert catalog.stream("resident").topic == "linkage.resident"
    assert catalog.by_topic("linkage.household").ja == "世帯"


def test_unknown_names_are_said_to_be_unknown(catalog: Catalog) -> None:
    """A stream or topic that is not there is an error of the contract."""
    with pytest.raises(SchemaUnknown, match="no such stream"):
        catalog.stream("parcel")
    with pytest.raises(SchemaUnknown, match="no stream"):
        catalog.by_topic("linkage.parcel")
    assert catalog.by_fingerprint("0" * 64) is None


def test_a_version_is_found_by_its_fingerprint(catalog: Catalog) -> None:
    """Delivery recognises a schema without asking by name."""
    for stream in catalog.streams.values():
        for version in stream.versions:
            assert catalog.by_fingerprint(version.fingerprint) is version


def test_every_item_has_its_names(catalog: Catalog) -> None:
    """Each item has a Japanese name, a romanised one in lower-case ASCII, and a sensitivity."""
    for stream in catalog.streams.values():
        for item in stream.items:
            assert item.ja, item.path
            assert item.romaji.isascii(), item.path
            assert item.romaji == item.romaji.lower(), item.path
            assert isinstance(item.sensitivity, Sensitivity)
        assert len({item.path for item in stream.items}) == len(stream.items)
        if not stream.is_internal:
            names = [item.ja for item in stream.items]
            assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("path", "ja", "romaji", "size"),
    [
        ("header.subject_id", "宛名番号", "atenabango", 15),
        ("header.municipality_code", "市区町村コード", "shikuchosonkodo", None),
        ("header.version", "履歴番号", "rirekibango", None),
        ("name.full", "氏名", "shimei", 100),
        ("name.family", "氏_日本人", "uji_nihonjin", 50),
        ("name.roman", "氏名_外国人ローマ字", "shimei_gaikokujinromaji", 100),
        ("name.kana", "氏名_フリガナ", "shimei_furigana", 100),
        ("name.alias_kana", "通称_フリガナ", "tsusho_furigana", 100),
        ("sex", "性別", "seibetsu", None),
        ("birth_date.date", "生年月日", "seinengappi", None),
        ("birth_date.unknown", "生年月日_不詳フラグ", "seinengappi_fushofuragu", None),
        ("birth_date.text", "生年月日_不詳表記", "seinengappi_fushohyoki", 72),
        ("address.municipality_code", "住所_市区町村コード", "jusho_shikuchosonkodo", None),
        ("address.town_code", "住所_町字コード", "jusho_choazakodo", None),
        ("address.prefecture", "住所_都道府県", "jusho_todofuken", 4),
        ("address.town", "住所_町字", "jusho_choaza", 120),
        ("address.building_kana", "住所_方書フリガナ", "jusho_katagaki_furigana", 300),
        ("address.postal_code", "住所_郵便番号", "jusho_yubinbango", None),
    ],
)
def test_official_names_and_sizes(
    catalog: Catalog, path: str, ja: str, romaji: str, size: int | None
) -> None:
    """Where 基本データリスト names an item, we use its name and its size in characters."""
    item = next(item for item in catalog.stream("resident").items if item.path == path)

    assert (item.ja, item.romaji, item.properties.get("x-max-length")) == (ja, romaji, size)


def test_everything_that_says_where_somebody_is_is_a_location(catalog: Catalog) -> None:
    """Every part of every address is withheld under protection."""
    for item in catalog.stream("resident").items:
        in_address = item.path.split(".")[0].endswith("address")
        assert (item.sensitivity is Sensitivity.LOCATION) == in_address, item.path


def test_no_individual_number_anywhere(catalog: Catalog) -> None:
    """個人番号 is in no stream but its own."""
    for stream in catalog.streams.values():
        if stream.name == "individual_number":
            continue
        assert not [i for i in stream.items if i.sensitivity is Sensitivity.RESTRICTED]
        assert not [i for i in stream.items if "個人番号" in i.ja or "住民票コード" in i.ja]


def test_reasons_are_the_whole_official_list(catalog: Catalog) -> None:
    """Every 異動事由 of 1.2.2 is there, in its class."""
    counts = {"記載": 9, "消除": 9, "修正": 19}
    found: dict[str, int] = {}
    for code in catalog.codes["reasons"].entries.values():
        found[str(code.kind)] = found.get(str(code.kind), 0) + 1
    assert found == counts
    assert "転居取消" not in {code.ja for code in catalog.codes["reasons"].entries.values()}


Spoil = Callable[[Any], None]


def changed(which: str, /, **attributes: Any) -> Spoil:
    """Set attributes of a field; x_ja is x-ja."""
    named = {key.replace("_", "-"): value for key, value in attributes.items()}
    return lambda value: field(value, which).update(named)


def without(name: str, attribute: str) -> Spoil:
    """Take an attribute from a field."""
    return lambda value: field(value, name).pop(attribute)


def count(**attributes: Any) -> tuple[str, Spoil]:
    """Spoil the field member_count of the household."""
    return HOUSEHOLD, changed("member_count", **attributes)


def household(**attributes: Any) -> tuple[str, Spoil]:
    """Spoil the household's record itself."""
    named = {key.replace("_", "-"): value for key, value in attributes.items()}
    return HOUSEHOLD, lambda value: value.update(named)


def twice(value: Any) -> None:
    """Write a field a second time."""
    value["fields"].append(field(value, "member_count"))


NUMBER = "streams/individual_number/v1.avsc"
LISTS = {"type": "array", "items": {"type": "array", "items": "int"}}
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 9}
SYMBOLS = {"type": "enum", "name": "ProtectionStatus", "symbols": ["on", "off"]}

SPOILT: list[tuple[str, tuple[str, Spoil], str, str | None]] = [
    ("a field twice", (HOUSEHOLD, twice), "duplicate-field", "member_count"),
    ("no Japanese name", (HOUSEHOLD, without("member_count", "x-ja")), "property", "member_count"),
    ("an empty romanised name", count(x_romaji=" "), "property", "member_count"),
    ("no sensitivity", (HOUSEHOLD, without("member_count", "x-sensitivity")), "property",
     "member_count"),
    ("a sensitivity nobody knows", count(x_sensitivity="secret"), "property", "member_count"),
    ("a misspelt property", count(x_maxlength=1), "property", "member_count"),
    ("a misspelt attribute", count(defualt=1), "attribute", "member_count"),
    ("a check nobody knows", count(x_check="luhn"), "property", "member_count"),
    ("a code list nobody has", count(x_codes="colours"), "unknown-codes", "member_count"),
    ("bytes", count(type="bytes"), "type", "member_count"),
    ("a decimal", count(type=DECIMAL), "type", "member_count"),
    ("a fixed", count(type={"type": "fixed", "name": "F", "size": 2}), "type", "member_count"),
    ("a uuid", count(type={"type": "string", "logicalType": "uuid"}), "type", "member_count"),
    ("a time", count(type={"type": "int", "logicalType": "time-millis"}), "type", "member_count"),
    ("a map", count(type={"type": "map", "values": "int"}), "type", "member_count"),
    ("a list of lists", count(type=LISTS), "type", "member_count"),
    ("a union of three", count(type=["null", "int", "long"]), "type", "member_count"),
    ("a union of one", count(type=["int"]), "type", "member_count"),
    ("null alone", count(type="null"), "type", "member_count"),
    ("a type that is a number", count(type=5), "type", "member_count"),
    ("a type nobody defined", count(type="jp.renkei.Nobody"), "unknown-type", "member_count"),
    ("a record within itself", count(type="jp.renkei.Household"), "recursive-type", None),
    ("a default of another type", count(default="0"), "default", "member_count"),
    ("a default of the second arm", (HOUSEHOLD, changed("head_subject_id", default="x")),
     "default", "head_subject_id"),
    ("camel case", count(name="memberCount"), "name", "memberCount"),
    ("a name too long for a column", count(name="a" * 64), "name", "a" * 64),
    ("no header", (HOUSEHOLD, lambda value: value["fields"].pop(0)), "header", None),
    ("another record name", household(name="Haushalt"), "name", "name"),
    ("another namespace", household(namespace="com.example"), "namespace", "namespace"),
    ("no event types", (HOUSEHOLD, lambda value: value.pop("x-event-types")), "property", None),
    ("an event type of another stream", household(x_event_types=["resident.died"]),
     "event-type", "x-event-types"),
    ("an event type twice", household(x_event_types=["household.changed"] * 2),
     "event-type", "x-event-types"),
    ("no subject", (HOUSEHOLD, lambda value: value.pop("x-subject")), "property", None),
    ("no fields", household(fields=[]), "fields", "fields"),
    ("a field that is text", (HOUSEHOLD, lambda value: value["fields"].append("x")), "field", None),
    ("no record", household(type="enum"), "type", None),
    ("an individual number", (HOUSEHOLD, changed("head_subject_id", x_check="individual-number")),
     "restricted", "head_subject_id"),
    ("a restricted item", count(x_sensitivity="restricted"), "restricted", "member_count"),
    ("a sealed item elsewhere", (HOUSEHOLD, changed("head_subject_id", x_sealed=True)),
     "sealed", "head_subject_id"),
    ("a restricted item that is not sealed", (NUMBER, without("number", "x-sealed")),
     "sealed", "number"),
    ("a sealed item that is not restricted",
     (NUMBER, changed("number", x_sensitivity="personal")), "sealed", "number"),
    ("a sealed number", (NUMBER, changed("number", type="long")), "sealed", "number"),
    ("sealed: false", (NUMBER, changed("number", x_sealed=False)), "property", "number"),
    ("a sealed list", (NUMBER, changed("number", type={"type": "array", "items": "string"})),
     "sealed", "number"),
    ("a location without the flag", count(x_sensitivity="location"), "protected", None),
    ("symbols in lower case", ("streams/protection/v1.avsc", changed("status", type=SYMBOLS)),
     "symbols", "status"),
    ("a condition on no field", ("types/partial_date.avsc", changed("text", x_required_when="no")),
     "property", "text"),
    ("v2 without a default", (RESIDENT, without("former_family_name", "default")),
     "incompatible", "former_family_name"),
    ("v2 with another type", (RESIDENT, changed("sex", type="int")), "incompatible", "sex"),
    ("v2 without what v1 needs",
     (RESIDENT, lambda value: value["fields"].remove(field(value, "sex"))), "incompatible", None),
    ("v2 that is v1", (RESIDENT, lambda value: value.update(fields=value["fields"][:-2])),
     "same-schema", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spoilt", "code", "where"),
    [case[1:] for case in SPOILT],
    ids=[case[0] for case in SPOILT],
)
def test_a_spoilt_file_is_refused(
    folder: Path, edit: Edit, spoilt: tuple[str, Spoil], code: str, where: str | None
) -> None:
    """Each fault names the file, a line in it, the field and what was expected."""
    name, by = spoilt
    edit(name, by)

    with pytest.raises(FilesRefused) as refused:
        load(folder)

    assert refused.value.exit_status == 78
    faults = [fault for fault in refused.value.faults if fault.code == code]
    assert faults, [str(fault) for fault in refused.value.faults]
    assert faults[0].file == name
    assert faults[0].expected
    if where is not None:
        assert faults[0].field == where
        assert faults[0].line is not None
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
        assert where in "\n".join(lines[max(0, faults[0].line - 14) : faults[0].line + 2])


def test_the_line_is_the_fields_own(folder: Path) -> None:
    """The line of a fault in a shipped file is where the field stands."""
    path = folder / HOUSEHOLD
    text = path.read_text(encoding="utf-8").replace('"x-minimum": 0', '"x-minimum": "none"')
    path.write_text(text, encoding="utf-8")
    wanted = next(n for n, line in enumerate(text.splitlines(), 1) if '"none"' in line)

    (fault,) = check(folder)

    assert (fault.line, fault.field) == (wanted, "member_count")
    assert str(fault).startswith(f"{HOUSEHOLD}:{wanted} member_count: property: expected x-minimum")


def test_all_faults_of_all_files_at_once(folder: Path, edit: Edit) -> None:
    """Nobody has to mend one file to hear about the next."""
    edit(HOUSEHOLD, lambda v: v["fields"].append({"name": "A", "type": "bytes"}))
    edit("streams/protection/v1.avsc", lambda v: field(v, "kind").pop("x-ja"))
    (folder / "codes" / "sexes.yaml").write_text("name: sexes\nname: sexes\n", encoding="utf-8")
    (folder / "streams" / "receipt" / "v1.avsc").write_bytes(b"{")

    files = {fault.file for fault in check(folder)}

    assert files == {
        HOUSEHOLD,
        "streams/protection/v1.avsc",
        "codes/sexes.yaml",
        "streams/receipt/v1.avsc",
    }
    codes = [fault.code for fault in check(folder) if fault.file == HOUSEHOLD]
    assert sorted(codes) == ["name", "property", "property", "type"]


def test_a_sealed_item_stays_sealed(folder: Path, edit: Edit) -> None:
    """The bytes would be read as what they are not; Avro's own rules do not see it."""
    v2 = folder / "streams/individual_number/v2.avsc"
    value = json.loads((folder / NUMBER).read_text(encoding="utf-8"))
    former = {**field(value, "number"), "name": "former", "type": ["null", "string"]}
    former |= {"default": None, "x-romaji": "kyukojinbango"}
    value["fields"].append(former)
    v2.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")
    assert check(folder) == []

    edit(NUMBER, changed("number", x_sensitivity="personal"))
    edit(NUMBER, without("number", "x-sealed"))

    (fault,) = check(folder)
    assert (fault.code, fault.field, fault.file) == (
        "sealed",
        "number",
        "streams/individual_number/v2.avsc",
    )


LIST = "name: sexes\nja: 性別\nsource: s\ncertainty: c\n{}\n"


def test_versions_have_no_gap(folder: Path) -> None:
    """v1, v3 is a file that somebody forgot."""
    (folder / RESIDENT).rename(folder / "streams/resident/v3.avsc")

    assert "versions" in {fault.code for fault in check(folder)}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("streams/Resident2/v1.avsc", "name"),
        ("streams/household/v1.json", "name"),
        ("streams/household/v01.avsc", "name"),
        ("streams/parcel/readme", "versions"),
        ("types/Other.avsc", "name"),
    ],
)
def test_files_that_belong_nowhere(folder: Path, name: str, code: str) -> None:
    """A file under a name that the loader would pass over is a fault, not a surprise."""
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("{}", encoding="utf-8")

    assert code in {fault.code for fault in check(folder)}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("- a\n", "type"),
        (LIST.format("entries: []"), "property"),
        (LIST.format("sort: 1\nentries:\n- {code: '1', ja: a, en: b}"), "property"),
        (LIST.replace("sexes", "other").format("entries:\n- {code: '1', ja: a, en: b}"), "name"),
        (LIST.format("entries:\n- {code: 1, ja: a, en: b}"), "entry"),
        (LIST.format("entries:\n- {code: '1', ja: a}"), "entry"),
        (LIST.format("entries:\n- {code: 'a b', ja: a, en: b}"), "code"),
        (LIST.format("entries:\n" + "- {code: '1', ja: a, en: b}\n" * 2), "repeated-code"),
    ],
)  # fmt: skip
def test_spoilt_code_lists(folder: Path, text: str, code: str) -> None:
    """A code list is as strict as a schema: a code 01 must not become the number 1."""
    (folder / "codes" / "sexes.yaml").write_text(text, encoding="utf-8")

    faults = check(folder)

    assert [fault.code for fault in faults] == [code]
    assert faults[0].file == "codes/sexes.yaml"


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    """A wrong setting is said to be one."""
    with pytest.raises(FilesRefused) as refused:
        load(tmp_path / "nowhere")
    assert [fault.code for fault in refused.value.faults] == ["folder"]


def test_a_registered_schema_needs_no_other_file(catalog: Catalog) -> None:
    """Named types are written out once, where they first occur, and named afterwards."""
    text = catalog.stream("resident").latest.text

    assert text.count('"name":"PartialDate"') == 1
    assert text.count('"name":"AddressAnywhere"') == 1
    assert json.loads(text)["fields"][0]["type"]["name"] == "Header"


def test_every_shipped_version_is_held_to_its_release() -> None:
    """No version is shipped that could still change by accident."""
    listed = yaml.safe_load((SHIPPED / "released.yaml").read_text(encoding="utf-8"))

    assert listed == {
        name: {version.version: version.fingerprint for version in stream.versions}
        for name, stream in load().streams.items()
    }


@pytest.mark.parametrize(
    ("name", "by", "expected"),
    [
        ("types/person_name.avsc", changed("alias", name="nickname"), {"nonresident", "resident"}),
        ("streams/receipt/v1.avsc", changed("rows", type="int"), {"receipt"}),
        ("streams/receipt/v1.avsc", changed("rows", x_ja="件数"), set()),
    ],
)  # fmt: skip
def test_a_released_version_cannot_change(
    folder: Path, edit: Edit, name: str, by: Spoil, expected: set[str]
) -> None:
    """Not by its own file, not by a shared type; names for people may be mended."""
    shutil.copy(SHIPPED / "released.yaml", folder)
    edit(name, by)

    faults = [fault for fault in check(folder) if fault.code == "released"]

    assert {str(fault.expected).split(" ")[0] for fault in faults} == expected
    assert all(fault.file == "released.yaml" and fault.line for fault in faults)


def test_a_released_stream_cannot_go(folder: Path) -> None:
    """Its events are still in the topic."""
    shutil.copy(SHIPPED / "released.yaml", folder)
    shutil.rmtree(folder / "streams/protection")

    assert [fault.code for fault in check(folder)] == ["released"] * 3


@pytest.mark.parametrize("text", ["[]", "household: 1", "household: {1: abc}", "parcel: {1: abc}"])
def test_a_spoilt_list_of_releases(folder: Path, text: str) -> None:
    """The list itself is checked."""
    (folder / "released.yaml").write_text(text, encoding="utf-8")

    assert [fault.file for fault in check(folder)] == ["released.yaml"]
