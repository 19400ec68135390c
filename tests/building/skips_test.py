import json

import pytest

from data_prep.building.skips import Skip, TooManySkipsError, check_limit, count_reasons, write_skips

PHOTOGRAPHS = [Skip(i, f"{i}.jpg", "truncated", "ends early") for i in range(3)]
CAPTIONS = [
    Skip(9, "9.jpg", "empty_caption", "no word", caption="ü"),
    Skip(9, "9.jpg", "special_word", "x", caption="y"),
]


def test_up_to_the_limit_all_is_well():
    check_limit(PHOTOGRAPHS, usable_images=297, usable_captions=1500, limit=0.01)
    check_limit(CAPTIONS, usable_images=40, usable_captions=198, limit=0.01)
    check_limit(PHOTOGRAPHS + CAPTIONS, usable_images=0, usable_captions=0, limit=1)
    check_limit([], usable_images=3, usable_captions=2, limit=0)


def test_beyond_it_reasons_and_first_case_are_told():
    with pytest.raises(
        TooManySkipsError, match=r"^3 of the 299 photographs in a split cannot be used \(3 truncated\), more than"
    ) as error:
        check_limit(PHOTOGRAPHS, usable_images=296, usable_captions=1495, limit=0.01)
    assert "--max_skipped_fraction=0.01. The first is '0.jpg': ends early." in str(error.value)
    assert error.value.skips == PHOTOGRAPHS
    message = r"^2 of the 199 captions of photographs in a split cannot be used \(1 empty_caption, 1 special_word\)"
    with pytest.raises(TooManySkipsError, match=message):
        check_limit(CAPTIONS, usable_images=40, usable_captions=197, limit=0.01)


def test_what_is_left_out_on_purpose_counts_neither_as_unusable_nor_among_what_there_is():
    intended = [Skip(1, "1.jpg", "no_split", "")] * 99 + [Skip(None, "1.txt", "text_without_photograph", "")] * 99
    check_limit(intended, usable_images=1, usable_captions=1, limit=0)
    with pytest.raises(TooManySkipsError, match="^3 of the 10 photographs in a split"):
        check_limit(intended + PHOTOGRAPHS, usable_images=7, usable_captions=70, limit=0.2)


def test_reasons_are_counted_in_order():
    assert list(count_reasons(PHOTOGRAPHS + CAPTIONS).items()) == [
        ("empty_caption", 1),
        ("special_word", 1),
        ("truncated", 3),
    ]


def test_the_file_holds_one_object_per_line(tmp_path):
    path = write_skips(str(tmp_path), PHOTOGRAPHS[:1] + CAPTIONS[:1])
    assert path == str(tmp_path / "skipped.jsonl")
    assert [json.loads(line) for line in (tmp_path / "skipped.jsonl").read_text().splitlines()] == [
        {"image_id": 0, "file_name": "0.jpg", "reason": "truncated", "detail": "ends early", "caption": None},
        {"image_id": 9, "file_name": "9.jpg", "reason": "empty_caption", "detail": "no word", "caption": "ü"},
    ]
    write_skips(str(tmp_path), [])
    assert (tmp_path / "skipped.jsonl").read_text() == ""
