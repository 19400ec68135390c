"""The service's page in a real browser: photographs chosen or dropped get their captions, by mouse and by keys."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import browser
import pytest
from browser import Browser
from running_services import GreyModel, RunningService, grey_jpeg, running

pytestmark = pytest.mark.skipif(browser.PROGRAM is None, reason=browser.MISSING)

NASTY = '<img src=x onerror="document.title=\'taken\'"></script><script>document.title = "taken"</script>'
STATE = "document.getElementById('state').textContent"
CAPTIONS = "[...document.querySelectorAll('#cards .caption')].map((line) => line.textContent)"
PHONE = 390


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def model() -> GreyModel:
    return GreyModel()


@pytest.fixture
def service(model: GreyModel) -> Iterator[RunningService]:
    with running(model, queue_size=4, max_photographs=4) as started:
        yield started


@pytest.fixture
def page(window: Browser, service: RunningService) -> Browser:
    window.requests.clear()
    window.messages.clear()
    window.open(service.url)
    return window


@pytest.fixture
def photographs(tmp_path: pathlib.Path) -> list[str]:
    """Five, of level 10, 20 ... 50; the third is none, and the name of the fourth is HTML."""
    names = ["1.jpg", "2.jpg", "3.jpg", "<b onclick=alert(1)>.jpg", "5.jpg"]
    for i, name in enumerate(names):
        (tmp_path / name).write_bytes(b"no image" if i == 2 else grey_jpeg(10 * (i + 1)))
    return [str(tmp_path / name) for name in names]


def choose(page: Browser, paths: list[str]) -> None:
    """Chooses files as the picker does."""
    root = page.call("DOM.getDocument")["root"]["nodeId"]
    node = page.call("DOM.querySelector", nodeId=root, selector="#files")["nodeId"]
    page.call("DOM.setFileInputFiles", files=paths, nodeId=node)


def drop(page: Browser, paths: list[str]) -> None:
    """Drops files in the middle of the window."""
    data = {"items": [], "files": paths, "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        page.call("Input.dispatchDragEvent", type=kind, x=600, y=500, data=data)


def wait_until(page: Browser, condition: str) -> None:
    """Waits until an expression is true, looking after each change of the page."""
    page.run(
        f"""new Promise((resolve) => {{
          const look = () => ({condition}) && (watcher.disconnect(), resolve());
          const watcher = new MutationObserver(look);
          watcher.observe(document, {{ subtree: true, childList: true, attributes: true, characterData: true }});
          look();
        }})"""
    )


def test_a_photograph_that_is_chosen_gets_its_captions(page: Browser, service: RunningService, photographs) -> None:
    assert page.run(STATE) == "No photographs yet."
    choose(page, photographs[:1])
    wait_until(page, f"{STATE} === '1 photograph done.'")
    assert page.run(CAPTIONS) == ["grey 10 -1.00"]
    assert page.run("document.querySelector('article .name').textContent") == "1.jpg"
    assert page.run("document.querySelector('article img').decode().then(() => document.images[0].naturalWidth)") == 16
    words = page.run("[...document.querySelectorAll('article .word')].map((word) => word.textContent)")
    assert words == ["grey61", "end61", "dark37", "grey37", "end37"]  # e**-0.5 and e**-1 in percent.
    assert page.messages == []
    asked = [request.removeprefix(service.url) for request in page.requests if not request.startswith("blob:")]
    assert asked == ["", "captions"]


def test_photographs_that_are_dropped_get_theirs_and_a_bad_one_its_reason(page: Browser, photographs) -> None:
    drop(page, photographs)
    wait_until(page, f"{STATE} === '5 photographs done.'")
    assert page.run(CAPTIONS) == ["grey 50 -1.00", "grey 40 -1.00", "grey 20 -1.00", "grey 10 -1.00"]
    assert page.run("document.querySelector('article .missing').textContent").startswith("not_an_image: ")
    assert page.run("document.querySelector('.undecodable').textContent") == "This browser does not show it."
    assert page.run("document.querySelectorAll('article')[1].querySelector('.name').textContent").startswith("<b ")


@pytest.mark.parametrize("model", [GreyModel(NASTY)])
def test_captions_that_hold_html_are_text(page: Browser, photographs) -> None:
    choose(page, photographs[3:4])
    wait_until(page, f"{STATE} === '1 photograph done.'")
    assert page.run(CAPTIONS)[0].startswith(NASTY)
    assert page.run("document.querySelectorAll('#cards script, #cards b, #cards img[src=x]').length") == 0
    assert page.run("document.title") == "Captions"
    # Even if a script got in, the page's policy would not let it run.
    page.run("cards.append(document.createElement('script'))")
    page.run("cards.lastChild.textContent = 'document.title = \"taken\"'")
    assert page.run("document.title") == "Captions"
    assert "Content Security Policy" in page.messages.pop()


def test_a_full_service_is_asked_again(page: Browser, model: GreyModel, service: RunningService, photographs) -> None:
    model.gate.clear()
    others = service.in_background([grey_jpeg(level) for level in range(4)])
    assert model.entered.wait(60)
    page.run(
        """answers = []; ask = window.fetch;
        window.fetch = async (...asked) => {
          const answer = await ask(...asked);
          answers.push(answer.status);
          document.body.title = answers;
          return answer;
        }"""
    )
    choose(page, photographs[:1])
    wait_until(page, "document.body.title === '429'")
    assert page.run(STATE) == "0 of 1 done …"
    model.gate.set()
    assert others.answer().status == 200
    wait_until(page, f"{STATE} === '1 photograph done.'")
    assert page.run("answers") == [429, 200]
    assert page.run(CAPTIONS) == ["grey 10 -1.00"]


def test_a_service_that_is_gone_is_said(page: Browser, service: RunningService, photographs) -> None:
    service.stop()
    choose(page, photographs[:1])
    wait_until(page, f"{STATE} === '1 photograph done.'")
    assert page.run("document.querySelector('article .missing').textContent") == "The service does not answer."


def test_the_page_is_operated_by_keys_alone(page: Browser, photographs) -> None:
    reached = []
    for _ in range(2):
        page.press("Tab", 9)
        reached.append(page.run("document.activeElement.id"))
    assert reached == ["files", "open"]  # `Clear` is off as long as there is nothing.
    page.press(" ", 32, " ")
    assert page.run("document.getElementById('open').checked")
    choose(page, photographs[:2])
    wait_until(page, f"{STATE} === '2 photographs done.'")
    assert page.run("[...document.querySelectorAll('article details')].map((details) => details.open)") == [True, True]
    page.press("Tab", 9)
    assert page.run("document.activeElement.id") == "clear"
    page.press("Tab", 9)
    assert page.run("document.activeElement.tagName") == "SUMMARY"
    page.run("document.getElementById('clear').focus()")
    page.press("Enter", 13, "\r")
    assert page.run(STATE) == "No photographs yet."
    assert page.run("[document.querySelectorAll('article').length, document.activeElement.id]") == [0, "files"]


def test_nothing_is_wider_than_a_phone(window: Browser, service: RunningService, photographs) -> None:
    window.open(service.url, PHONE, 844)
    choose(window, photographs)
    wait_until(window, f"{STATE} === '5 photographs done.'")
    assert window.run("document.documentElement.scrollWidth") == PHONE
