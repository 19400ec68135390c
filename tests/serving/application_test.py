"""What the service answers, over a real connection, with a model that can be held."""

import base64
import contextlib
import json

import pytest
from running_services import BOUNDARY, GreyModel, grey_jpeg, multipart, running

from im2txt.serving.application import MODEL_PATH, PREDICT_PATH


@pytest.fixture(scope="module")
def service():
    with running(GreyModel(), max_photographs=4, max_megabytes=0.5) as started:
        yield started


def until(condition):
    """Asks again and again; each time costs a request."""
    for _ in range(5000):
        if condition():
            return
    raise AssertionError("It never came true.")


def test_a_prediction_has_the_form_of_tensorflow_serving(service):
    answer = service.predict(grey_jpeg(200), grey_jpeg(0))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    first, second = answer.json()["predictions"]
    assert first == {
        "captions": ["grey 200", "light grey"],
        "log_probs": [-1, -3],
        "scores": [-1, -3],
        "word_ids": [[1, 0, 2, 2], [1, 3, 0, 2]],
        "word_log_probs": [[0, -0.5, -0.5, 0], [0, -1, -1, -1]],
        "lengths": [3, 4],
    }
    assert second["captions"][0] == "grey 0"
    assert second["log_probs"] == [-1, None]


def test_columns_are_answered_with_columns(service):
    encoded = [{"b64": base64.b64encode(grey_jpeg(level)).decode()} for level in (7, 9)]
    answer = service.ask("POST", PREDICT_PATH, json.dumps({"inputs": {"encoded_images": encoded}}))
    assert [row[0] for row in answer.json()["outputs"]["captions"]] == ["grey 7", "grey 9"]


def test_uploads_get_their_captions_in_order_with_names_and_words(service):
    answer = service.upload(("light.jpg", grey_jpeg(200)), ("käse, 1.jpg", grey_jpeg(0)))
    assert answer.status == 200
    first, second = answer.json()["photographs"]
    assert first == {
        "file": "light.jpg",
        "captions": [
            {
                "caption": "grey 200",
                "words": "grey",
                "log_prob": -1,
                "score": -1,
                "is_complete": True,
                "word_log_probs": [-0.5, -0.5],
            },
            {
                "caption": "light grey",
                "words": "light grey",
                "log_prob": -3,
                "score": -3,
                "is_complete": True,
                "word_log_probs": [-1, -1, -1],
            },
        ],
    }
    assert second["file"] == "käse, 1.jpg"
    assert [caption["caption"] for caption in second["captions"]] == ["grey 0"]  # Its second slot is empty.


def test_one_photograph_may_be_the_body_itself(service):
    answer = service.ask("POST", "/captions", grey_jpeg(50), Content_Type="image/jpeg")
    assert answer.json()["photographs"][0]["captions"][0]["caption"] == "grey 50"


def test_a_bad_photograph_leaves_the_others_their_captions(service):
    cut = grey_jpeg(60)[:-40]
    answer = service.predict(grey_jpeg(40), b"no image", cut, b"")
    assert answer.status == 200
    good, *bad = answer.json()["predictions"]
    assert good["captions"][0] == "grey 40"
    assert [row["error"].partition(":")[0] for row in bad] == ["not_an_image", "truncated", "empty_file"]
    outputs = service.ask(
        "POST", PREDICT_PATH, json.dumps({"inputs": [{"b64": "!"}, {"b64": base64.b64encode(grey_jpeg(3)).decode()}]})
    ).json()["outputs"]
    assert outputs["captions"][0] is None
    assert outputs["captions"][1][0] == "grey 3"
    assert outputs["errors"][0].startswith("not_base64")
    assert outputs["errors"][1] is None


def test_where_no_photograph_can_be_used_the_status_says_so(service):
    answer = service.upload(("a.jpg", b"no image"), ("b.jpg", b""))
    assert answer.status == 400
    assert answer.json()["error"].startswith("not_an_image: ")
    assert [row["file"] for row in answer.json()["photographs"]] == ["a.jpg", "b.jpg"]


FORM = f"multipart/form-data; boundary={BOUNDARY}"


@pytest.mark.parametrize(
    ("path", "body", "kind", "status", "told"),
    [
        (PREDICT_PATH, b"{", "application/json", 400, "The body is cut short or not JSON"),
        (PREDICT_PATH, b'{"instances": [{"image": "QQ=="}]}', "application/json", 400, "Photograph 0 is not"),
        (PREDICT_PATH, b'{"instances": [' + b'{"b64": ""},' * 4 + b'{"b64": ""}]}', "x/y", 413, "More than 4 photogr"),
        (PREDICT_PATH, b" " * 500_001, "application/json", 413, "500,001 bytes or more; at most 500,000 are taken"),
        ("/captions", multipart(("a", b"x" * 500_001)), FORM, 413, "at most 500,000 are taken"),
        ("/captions", multipart(*[("a", b"x")] * 5), FORM, 413, "More than 4 photographs"),
        ("/captions", multipart(*[("a", b"x")] * 6), FORM, 400, "Too many files"),
        ("/captions", multipart(), FORM, 400, "no file in the form"),
        ("/captions", b"no form", FORM, 400, ""),
        ("/captions", multipart(("a", b"x")), "multipart/form-data", 400, "Missing boundary"),
        ("/captions", multipart(("\u00fc", b"x")), f"{FORM}; charset=idna", 400, ""),
        ("/captions", multipart(("a", b"x")), f"{FORM}; charset=punycode", 400, ""),
        ("/captions", b"a=b", "application/x-www-form-urlencoded", 415, "Send photographs as multipart/form-data"),
        ("/captions", b"", "", 415, "Send photographs as multipart/form-data"),
    ],
)
def test_a_bad_request_is_refused_with_its_reason(service, path, body, kind, status, told):
    answer = service.ask("POST", path, body, Content_Type=kind)
    assert answer.status == status, answer.text
    assert told in answer.json()["error"]
    assert service.predict(grey_jpeg(1)).status == 200


def test_a_body_without_a_declared_length_is_measured_as_it_comes(service):
    with service.connect() as connection:
        connection.sendall(f"POST {PREDICT_PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        with contextlib.suppress(OSError):  # It may hang up before the last piece.
            for _ in range(6):
                connection.sendall(b"186a0\r\n" + b" " * 100_000 + b"\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_methods_and_addresses_that_are_not_there_are_json_errors(service):
    assert service.ask("GET", "/nothing").json() == {"error": "Not Found"}
    refused = service.ask("GET", PREDICT_PATH)
    assert (refused.status, refused.headers["allow"]) == (405, "POST")
    assert service.ask("PUT", "/captions", b"x").status == 405


def test_status_health_and_page_are_there(service):
    (version,) = service.ask("GET", MODEL_PATH).json()["model_version_status"]
    assert (version["state"], version["status"]["error_code"]) == ("AVAILABLE", "OK")
    assert service.ask("GET", "/healthz").json() == {"status": "ok"}
    page = service.ask("GET", "/")
    assert page.headers["x-frame-options"] == "DENY"
    assert "<title>Captions</title>" in page.text


def test_metrics_count_requests_photographs_and_batches():
    with running(GreyModel()) as service:
        service.predict(grey_jpeg(1), grey_jpeg(2), b"no image")
        service.ask("GET", "/no/such/1")
        service.ask("GET", "/no/such/2")
        assert service.count(f'im2txt_requests_total{{path="{PREDICT_PATH}",status="200"}}') == 1
        assert service.count('im2txt_requests_total{path="other",status="404"}') == 2
        assert service.count('im2txt_photographs_total{outcome="captioned"}') == 2
        assert service.count('im2txt_photographs_total{outcome="not_an_image"}') == 1
        assert service.count("im2txt_batch_size_sum") == 2
        assert service.count("im2txt_waiting_photographs") == 0


def test_requests_that_come_together_share_a_batch_that_is_filled_up():
    model = GreyModel()
    with running(model, max_batch_size=4) as service:
        model.gate.clear()
        first = service.in_background([grey_jpeg(100)])
        assert model.entered.wait(60)
        others = [service.in_background([grey_jpeg(level)]) for level in (101, 102, 103)]
        until(lambda: service.count("im2txt_waiting_photographs") == 4)
        model.gate.set()
        texts = [request.answer().json()["predictions"][0]["captions"][0] for request in (first, *others)]
    assert texts == ["grey 100", "grey 101", "grey 102", "grey 103"]
    first_batch, *later = model.batches
    assert first_batch == [100]
    assert sorted(later[0][:3]) == [101, 102, 103]
    assert later[0][3:] == later[0][2:3]  # Three are filled up to four.
    assert len(later) == 1


def test_a_full_queue_is_429_with_the_time_to_come_back_and_ends_when_there_is_room():
    model = GreyModel()
    with running(model, queue_size=2, max_photographs=2) as service:
        model.gate.clear()
        request = service.in_background([grey_jpeg(1), grey_jpeg(2)])
        assert model.entered.wait(60)
        until(lambda: service.count("im2txt_waiting_photographs") == 2)
        for refused in (service.predict(grey_jpeg(3)), service.upload(("a.jpg", grey_jpeg(3)))):
            assert refused.status == 429
            assert int(refused.headers["retry-after"]) >= 1
            assert "too many photographs are waiting" in refused.json()["error"]
        assert service.ask("GET", "/healthz").status == 200
        model.gate.set()
        assert request.answer().status == 200
        assert service.predict(grey_jpeg(3)).status == 200


def test_a_request_of_more_photographs_than_there_is_room_for_is_429():
    model = GreyModel()
    with running(model, queue_size=2, max_photographs=2) as service:
        model.gate.clear()
        request = service.in_background([grey_jpeg(1)])
        assert model.entered.wait(60)
        assert service.predict(grey_jpeg(2), grey_jpeg(3)).status == 429
        model.gate.set()
        assert request.answer().status == 200


def test_captions_that_take_too_long_are_503_and_their_places_are_free_again():
    model = GreyModel()
    with running(model, answer_timeout_secs=0.2) as service:
        model.gate.clear()
        late = service.predict(grey_jpeg(1))
        assert (late.status, late.headers["retry-after"]) == (503, "1")
        assert "No captions within 0.2 s" in late.json()["error"]
        assert service.count("im2txt_waiting_photographs") == 0
        model.gate.set()
        until(lambda: service.predict(grey_jpeg(2)).status == 200)


def test_photographs_of_a_client_that_has_gone_are_not_captioned():
    model = GreyModel()
    with running(model) as service:
        model.gate.clear()
        stays = service.in_background([grey_jpeg(1)])
        assert model.entered.wait(60)
        body = multipart(("a.jpg", grey_jpeg(77)))
        with service.connect() as gone:
            head = f"POST /captions HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: {len(body)}\r\n\r\n"
            gone.sendall(head.encode() + body)
            until(lambda: service.count("im2txt_waiting_photographs") == 2)
        until(lambda: service.count('im2txt_requests_total{path="/captions",status="499"}') == 1)
        model.gate.set()
        assert stays.answer().status == 200
        assert service.predict(grey_jpeg(2)).status == 200
    assert not any(77 in batch for batch in model.batches)


def test_a_fault_of_the_model_is_500_without_details_and_the_next_request_is_served(capfd):
    with running(GreyModel(bad_level=13)) as service:
        answer = service.predict(grey_jpeg(13))
        assert (answer.status, answer.json()) == (500, {"error": "A fault of the service; its log has the details."})
        assert service.predict(grey_jpeg(14)).status == 200
    assert "The model has a bad day." in capfd.readouterr().err


def test_bodies_are_held_in_memory_up_to_a_bound_and_429_above():
    model = GreyModel()
    with running(model, max_megabytes=0.1) as service, contextlib.ExitStack() as stack:
        head = f"POST {PREDICT_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 99000\r\n\r\n".encode()
        slow = []
        for _ in range(16):
            slow.append(stack.enter_context(service.connect()))
            slow[-1].sendall(head + b" " * 98_000)
        until(lambda: service.predict(b"x" * 60_000).status == 429)
        for connection in slow:
            connection.close()
        until(lambda: service.predict(grey_jpeg(1)).status == 200)
