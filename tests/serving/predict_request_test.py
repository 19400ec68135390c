"""TensorFlow Serving's REST form, both ways."""

import json

import numpy as np
import pytest

from im2txt.images.unusable_photographs import UnusablePhotographError
from im2txt.serving.predict_request import decode_base64, parse_predict, predict_answer

OUTPUTS = {
    "captions": np.array(["a dög".encode(), b""], object),
    "log_probs": np.float32([-1.5, -np.inf]),
    "word_ids": np.int32([[1, 2], [0, 0]]),
}
ROW = {"captions": ["a dög", ""], "log_probs": [-1.5, None], "word_ids": [[1, 2], [0, 0]]}
BAD = UnusablePhotographError("truncated", "7 bytes")


@pytest.mark.parametrize(
    ("request_body", "is_columnar"),
    [
        ({"instances": [{"b64": "QQ=="}, {"b64": "Qg=="}]}, False),
        ({"instances": [{"encoded_images": {"b64": "QQ=="}}, {"b64": "Qg=="}]}, False),
        ({"inputs": [{"b64": "QQ=="}, {"b64": "Qg=="}], "signature_name": "serving_default"}, True),
        ({"inputs": {"encoded_images": [{"b64": "QQ=="}, {"b64": "Qg=="}]}}, True),
    ],
)
def test_rows_and_columns_with_or_without_the_inputs_name_are_understood(request_body, is_columnar):
    parsed = parse_predict(json.dumps(request_body).encode())
    assert parsed.is_columnar == is_columnar
    assert [decode_base64(text) for text in parsed.photographs] == [b"A", b"B"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "The body is cut short or not JSON"),
        (b"{", "The body is cut short or not JSON"),
        (b"\xff\xfe\x00", "The body is cut short or not JSON"),
        (b"[" * 200_000, "The body is not what it should be: its lists and objects are nested without end"),
        (b'{"instances": ' + b"9" * 5000 + b"}", "The body is not what it should be: Exceeds the limit"),
        (b"[]", "an object with either `instances` or `inputs`"),
        (b"{}", "an object with either `instances` or `inputs`"),
        (b'{"instances": [], "inputs": []}', "either `instances` or `inputs`"),
        (b'{"instances": []}', "`instances` must be a list that is not empty"),
        (b'{"inputs": {"images": [1]}}', "`inputs` must be a list that is not empty"),
        (b'{"instances": {"b64": "QQ=="}}', "`instances` must be a list"),
        (b'{"instances": [{"b64": "QQ=="}, {"b64": 3}]}', "Photograph 1 is not"),
        (b'{"instances": ["QQ=="]}', "Photograph 0 is not"),
        (b'{"instances": [{"b64": "QQ==", "more": 1}]}', "Photograph 0 is not"),
        (b'{"instances": [{"b64": "QQ=="}], "signature_name": "from_images"}', "Only the signature 'serving_default'"),
        (b'{"instances": [{"b64": "QQ=="}], "signature_name": {}}', "Only the signature 'serving_default'"),
        (b'{"instances": [{"b64": "QQ=="}], "outputs": 1}', "the key 'outputs'"),
    ],
)
def test_what_is_no_prediction_is_refused_with_what_is_wrong(body, told):
    with pytest.raises(ValueError, match="^[^\n]+$") as refused:
        parse_predict(body)
    assert told in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("text", ["!", "QQ", "Q Q=", "QQ==QQ==", "ü", "=", "\ud800"])
def test_what_is_no_base64_spoils_its_own_photograph_alone(text):
    with pytest.raises(UnusablePhotographError, match="^not_base64: "):
        decode_base64(text)


def test_rows_hold_outputs_or_an_error_and_no_number_that_json_lacks():
    assert predict_answer([OUTPUTS, BAD], is_columnar=False) == {"predictions": [ROW, {"error": "truncated: 7 bytes"}]}


def test_columns_keep_their_places_where_a_photograph_has_none():
    assert predict_answer([BAD, OUTPUTS], is_columnar=True) == {
        "outputs": {**{name: [None, value] for name, value in ROW.items()}, "errors": ["truncated: 7 bytes", None]}
    }
    assert "errors" not in predict_answer([OUTPUTS], is_columnar=True)["outputs"]
