import pytest

from im2txt.system.json_text import JsonError, parse_json


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "^cut short or not JSON: "),
        ('{"a": 1', "^cut short or not JSON: "),
        (b"\xff\xfe\x00", "^cut short or not JSON: "),
        ("[" * 200_000, "^not what it should be: its lists and objects are nested without end$"),
        ('{"a":' * 200_000, "^not what it should be: its lists and objects are nested without end$"),
        ("9" * 5000, "^not what it should be: Exceeds the limit"),
    ],
)
def test_whatever_cannot_be_read_is_one_kind_of_error(text, message) -> None:
    with pytest.raises(JsonError, match=message):
        parse_json(text)


def test_keys_without_use_are_dropped_from_every_object() -> None:
    assert parse_json(b'{"a": [{"b": 1, "c": 2}], "b": 3}', without=("b",)) == {"a": [{"c": 2}]}
