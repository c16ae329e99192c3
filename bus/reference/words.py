"""The words of the reference, Japanese beside English, each in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bus.model import Comparison, Condition, MaskKind, Mode, Sensitivity, SystemKind
from bus.policy.grants import Zone


@dataclass(frozen=True, slots=True)
class Words:
    """The same words in Japanese and English."""

    ja: str
    en: str

    def __str__(self) -> str:
        return self.ja if self.ja == self.en else f"{self.ja} {self.en}"


KINDS: Mapping[SystemKind, Words] = MappingProxyType(
    {
        SystemKind.STANDARD: Words("標準化対象業務", "standardised business system"),
        SystemKind.NEIGHBOUR: Words("関連業務", "neighbour of the same family"),
        SystemKind.COMMON_FUNCTION: Words("共通機能", "common function"),
        SystemKind.BUS: Words("連携基盤", "part of the bus"),
    }
)

SENSITIVITIES: Mapping[Sensitivity, Words] = MappingProxyType(
    {
        Sensitivity.PLAIN: Words("一般", "plain"),
        Sensitivity.PERSONAL: Words("個人情報", "personal"),
        Sensitivity.LOCATION: Words("所在", "location"),
        Sensitivity.RESTRICTED: Words("特定個人情報", "restricted"),
    }
)

MASKS: Mapping[MaskKind, Words] = MappingProxyType(
    {
        MaskKind.WITHHOLD: Words("非表示", "nothing of it"),
        MaskKind.BIRTH_YEAR: Words("年のみ", "its year"),
        MaskKind.AGE_BAND: Words("年齢層", "a band of five years"),
        MaskKind.TOWN_ONLY: Words("町字まで", "down to the town"),
        MaskKind.LAST_FOUR: Words("末尾4文字", "its last four characters"),
        MaskKind.KEYED_HASH: Words("鍵付ハッシュ", "a hash under the system's own key"),
        MaskKind.PRESENT: Words("有無のみ", "whether there is any"),
    }
)

MODES: Mapping[Mode, Words] = MappingProxyType(
    {
        Mode.AUTO_APPLY: Words("自動反映", "applied by itself"),
        Mode.WORK_LIST: Words("担当者が確認", "a clerk confirms each"),
        Mode.NOTIFY_ONLY: Words("異動があったことのみ", "only that something happened"),
    }
)

ZONES: Mapping[Zone, Words] = MappingProxyType(
    {
        Zone.INDIVIDUAL_NUMBER: Words(Zone.INDIVIDUAL_NUMBER.ja, "individual number zone"),
        Zone.LGWAN: Words(Zone.LGWAN.ja, "LGWAN zone"),
        Zone.INTERNET: Words(Zone.INTERNET.ja, "internet zone"),
    }
)

TYPES: Mapping[str, Words] = MappingProxyType(
    {
        "string": Words("文字列", "text"),
        "boolean": Words("真偽", "true or false"),
        "int": Words("整数", "whole number"),
        "long": Words("整数", "whole number"),
        "float": Words("小数", "number"),
        "double": Words("小数", "number"),
        "date": Words("年月日", "date"),
        "timestamp-millis": Words("日時", "time"),
        "timestamp-micros": Words("日時", "time"),
        "enum": Words("列挙", "one of"),
    }
)

_NAMED_CHECKS: Mapping[str, Words] = MappingProxyType(
    {
        "municipality-code": Words("全国地方公共団体コード", "municipality code, its check digit"),
        "individual-number": Words("個人番号、検査用数字", "individual number, its check digit"),
        "corporate-number": Words("法人番号、検査用数字", "corporate number, its check digit"),
        "insurer-number": Words("保険者番号、検証番号", "insurer number, its check digit"),
        "atena": Words(
            "宛名番号の形（団体の設定）、検査用数字（警告のみ）",
            "the site's form of a number; its check digit (warns only)",
        ),
        "postal-code": Words("郵便番号7桁", "postal code of seven digits"),
        "name": Words("数字だけでない名称", "a name, not numbers alone"),
        "kana": Words("かなを含む", "text with kana"),
        "uuid": Words("UUID", "UUID"),
        "event-type": Words("このストリームのイベント種別", "an event type of this stream"),
    }
)  # fmt: skip


def check_words(check: str) -> Words:
    """The words for a check in ``x-check``."""
    kind, _, digits = check.partition(":")
    if kind == "digits":
        return Words(f"数字{digits}桁", f"{digits} digits")
    return _NAMED_CHECKS[check]


PROPERTIES: Mapping[str, Callable[[Any], Words]] = MappingProxyType(
    {
        "x-form": lambda form: Words(f"基本データリストの様式 {form}", f"form {form}"),
        "x-codes": lambda name: Words(f"コード {name}", f"a code of {name}"),
        "x-codes-in-a-row": lambda n: Words(f"コードは{n}個まで連続", f"up to {n} codes in a row"),
        "x-max-length": lambda n: Words(f"{n}文字以内", f"at most {n} characters"),
        "x-check": check_words,
        "x-allow": lambda texts: Words(
            f"{'、'.join(texts)} は可", f"{', '.join(texts)} passes all the same"
        ),
        "x-minimum": lambda n: Words(f"{n}以上", f"at least {n}"),
        "x-maximum": lambda n: Words(f"{n}以下", f"at most {n}"),
        "x-sum-of": lambda names: Words(f"{'＋'.join(names)} の計", f"sum of {', '.join(names)}"),
        "x-zero-when": lambda name: Words(f"{name} なら0", f"zero when {name}"),
        "x-not-before": lambda name: Words(f"{name} 以後", f"not before {name}"),
        "x-required-when": lambda name: Words(f"{name} なら必須", f"required when {name}"),
        "x-sealed": lambda _: Words("暗号化して運ぶ", "encrypted on the wire"),
    }
)
"""Each property that checks or changes an item, in words. A test holds it to the catalogue's."""


def condition_words(condition: Condition) -> Words:
    """The words for the rows that a condition lets through."""
    path, values = condition.path, [_value(value) for value in condition.values]
    if condition.comparison is Comparison.IS_NULL:
        is_null = condition.values == (True,)
        return Words(
            f"{path} が{'空' if is_null else '空でない'}",
            f"{path} is {'empty' if is_null else 'not empty'}",
        )
    if condition.comparison is Comparison.AT_LEAST:
        return Words(f"{path} が {values[0]} 以上", f"{path} is at least {values[0]}")
    if condition.comparison is Comparison.IN:
        among = ", ".join(values)
        return Words(f"{path} が {among} のいずれか", f"{path} is one of {among}")
    return Words(f"{path} が {values[0]}", f"{path} is {values[0]}")


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
