"""The pages in a real browser: what people can do with them, and what captions and file names cannot."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator

import browser
import evaluated_runs
import fake_shards
import pytest
from browser import Browser
from evaluated_runs import candidate

from data_prep import inspect_data
from im2txt import report
from im2txt.runs.sample_captions import SampleCaption, append_samples

pytestmark = pytest.mark.skipif(browser.PROGRAM is None, reason=browser.MISSING)

NASTY = '</script><script>document.title = "taken"</script><img src=x onerror="document.title=\'taken\'">&amp;'
NAMES = "[...document.querySelectorAll('#cards .name')].map((name) => name.textContent)"
PHONE = 390


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def result_page(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """60 photographs; the log probability of photograph i is -i, its file name `i.jpg`, and one of each is nasty."""
    folder = tmp_path_factory.mktemp("results")
    fake_shards.write_folder(folder / "shards", {"test": fake_shards.photos(range(1, 61))})
    workdir = folder / "run"
    evaluated_runs.write_run(workdir, folder / "shards")
    captions = {
        i: (f"{i}.jpg", [candidate("a dog runs" if i % 2 else "a cat sits", (-i / 4,) * 4), candidate("a", (-i, -i))])
        for i in range(1, 61)
    }
    looked = [[0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0], [0.25] * 4, [0.5, 0.5, 0.0, 0.0]]
    captions[5] = ("5.jpg", [captions[5][1][0] | {"attention": looked}, captions[5][1][1]])
    captions[7] = (NASTY, [candidate(NASTY, (-7.0,))])
    evaluated_runs.write_evaluation(workdir, captions)
    report.main([f"--workdir={workdir}", "--split=test"])
    return workdir / "evaluation" / "test" / "report.html"


@pytest.fixture
def results(window: Browser, result_page: pathlib.Path) -> Iterator[Browser]:
    """The result page, freshly opened; nothing on it may have gone wrong."""
    window.requests.clear()
    window.messages.clear()
    window.open(result_page)
    yield window
    assert window.messages == []
    assert window.requests == [result_page.as_uri()]


def choose(page: Browser, sort: str, order: str) -> None:
    for name, value in (("sort", sort), ("order", order)):
        page.run(f"{name}.value = {value!r}; {name}.dispatchEvent(new Event('change'))")


def test_photographs_are_sorted_by_every_measure_both_ways(results: Browser) -> None:
    choose(results, "log_prob", "down")
    assert results.run(NAMES)[:3] == ["1.jpg", "2.jpg", "3.jpg"]
    choose(results, "log_prob", "up")
    assert results.run(NAMES)[:3] == ["60.jpg", "59.jpg", "58.jpg"]
    choose(results, "name", "down")
    assert results.run(NAMES)[1:4] == ["1.jpg", "2.jpg", "3.jpg"]
    for metric in ("CIDEr-D", "ROUGE-L"):
        for order, sign in (("down", -1), ("up", 1)):
            choose(results, f"score {metric}", order)
            number = f"+line.textContent.match(/{metric} (.*?)( |$)/)[1]"
            values = results.run(f"[...document.querySelectorAll('#cards .soft')].map((line) => {number})")
            assert len(values) == 24
            assert values == sorted(values, key=lambda value: sign * value)
    choose(results, "random", "down")
    first = results.run(NAMES)
    choose(results, "random", "down")
    assert sorted(results.run(NAMES)) != sorted(first)


def test_search_finds_captions_references_and_names_by_all_its_words(results: Browser) -> None:
    def found(words: str) -> str:
        results.run(f"search.value = {words!r}; search.dispatchEvent(new Event('input'))")
        return results.run("document.getElementById('position').textContent")

    assert found("CAT sits") == "1 to 24 of 60 photographs"  # Every reference of an odd one, captions of the even.
    assert found("zebra") == "1 to 24 of 30 photographs"
    assert found("zebra 48.jpg") == "1 to 1 of 1 photographs"
    assert found("</script>") == "1 to 1 of 1 photographs"
    assert found("giraffe") == "No photograph has these words."
    assert results.run("document.querySelectorAll('article').length") == 0


def test_a_card_shows_photograph_beams_words_and_references(results: Browser) -> None:
    results.run("search.value = '5.jpg'; search.dispatchEvent(new Event('input'))")
    choose(results, "log_prob", "down")
    card = "document.querySelector('article')"
    assert (
        results.run(f"{card}.querySelector('img').decode().then(() => {card}.querySelector('img').naturalWidth)") == 32
    )
    assert results.run(f"{card}.querySelector('.caption').textContent") == "A dog runs -5.00"
    words = results.run(f"[...{card}.querySelectorAll('.word')].map((word) => word.textContent)")
    assert words == ["a29", "dog29", "runs29", "end29", "a0.7", "end0.7"]  # e**-1.25 and e**-5 in percent.
    references = results.run(f"[...{card}.querySelectorAll('li')].map((item) => item.textContent)")
    assert references == ["A dog runs.", "A cat sits."]


def test_a_word_pointed_at_darkens_what_was_not_looked_at(results: Browser) -> None:
    results.run("search.value = '5.jpg'; search.dispatchEvent(new Event('input'))")
    choose(results, "log_prob", "down")
    card = "document.querySelector('article')"
    results.run(f"{card}.querySelector('img').decode()")

    def darkness(word: int, event: str) -> list[int] | None:
        """Of the four places, after an event at a word; None where nothing is shown."""
        results.run(f"{card}.querySelectorAll('.word')[{word}].dispatchEvent(new Event('{event}'))")
        if results.run(f"{card}.querySelector('canvas').hidden"):
            return None
        pixels = f"{card}.querySelector('canvas').getContext('2d').getImageData(0, 0, 2, 2).data"
        return results.run(f"[...{pixels}].filter((_, i) => i % 4 === 3)")

    assert darkness(0, "pointerenter") == [210, 210, 210, 0]
    assert darkness(0, "pointerleave") is None
    assert darkness(1, "focus") == [0, 210, 210, 210]
    assert darkness(1, "blur") is None
    assert darkness(2, "pointerenter") == [0, 0, 0, 0]
    assert darkness(3, "pointerenter") == [0, 0, 210, 210]
    # The shade lies on the photograph within its frame, which is wider.
    edges = "(({left, top, width, height}) => [left, top, width, height])"
    shade = results.run(f"{edges}({card}.querySelector('canvas').getBoundingClientRect())")
    frame = results.run(f"{edges}({card}.querySelector('img').getBoundingClientRect())")
    sizes = results.run(
        f"(({{naturalWidth, naturalHeight}}) => [naturalWidth, naturalHeight])({card}.querySelector('img'))"
    )
    scale = min(frame[2] / sizes[0], frame[3] / sizes[1])
    expected = [sizes[0] * scale, sizes[1] * scale]
    assert shade[2:] == pytest.approx(expected, abs=1)
    assert shade[:2] == pytest.approx([frame[i] + (frame[i + 2] - expected[i]) / 2 for i in (0, 1)], abs=1)
    # Cards of decoders that do not attend have none.
    results.run("search.value = '48.jpg'; search.dispatchEvent(new Event('input'))")
    assert results.run("document.querySelectorAll('canvas').length") == 0


def test_captions_and_names_that_hold_html_are_text(results: Browser) -> None:
    results.run("search.value = 'taken'; search.dispatchEvent(new Event('input'))")
    assert results.run("document.querySelector('.caption').textContent").startswith(NASTY.capitalize())
    assert results.run(NAMES) == [NASTY]
    assert results.run("document.querySelectorAll('#cards script, #cards img[src=x]').length") == 0
    assert results.run("document.title") == "run · test"
    # Even if a script got in, the page's policy would not let it run.
    results.run("cards.append(document.createElement('script'))")
    results.run("cards.lastChild.textContent = 'document.title = \"taken\"'")
    assert results.run("document.title") == "run · test"
    assert "Content Security Policy" in results.messages.pop()


def test_the_page_is_operated_by_keys_alone(results: Browser) -> None:
    choose(results, "log_prob", "down")
    results.press("n", text="n")
    assert results.run(NAMES)[0] == "25.jpg"
    results.press("p", text="p")
    assert results.run(NAMES)[0] == "1.jpg"
    results.press("/", text="/")
    results.type("zebra")
    assert results.run("[document.activeElement.id, search.value]") == ["search", "zebra"]
    assert results.run(NAMES)[0] == "2.jpg"
    reached = []
    for _ in range(8):
        results.press("Tab", 9)
        reached.append(results.run("document.activeElement.id || document.activeElement.tagName"))
    assert reached[:4] == ["sort", "order", "open", "next"]  # `previous` is off on the first page.
    assert "SUMMARY" in reached
    while results.run("document.activeElement.tagName") != "SUMMARY":
        results.press("Tab", 9)
    results.press("Enter", 13, "\r")
    assert results.run("document.activeElement.parentElement.open")


def test_pages_turn_and_end(results: Browser) -> None:
    choose(results, "log_prob", "down")
    for first in ("25.jpg", "49.jpg"):
        results.run("next_below.click()")
        assert results.run(NAMES)[0] == first
    assert results.run("[next.disabled, next_below.disabled, previous.disabled]") == [True, True, False]
    assert results.run("document.getElementById('position').textContent") == "49 to 60 of 60 photographs"


def test_nothing_is_wider_than_a_phone(window: Browser, result_page: pathlib.Path, tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path / "shards")
    inspect_data.main([f"--data_dir={tmp_path}/shards", f"--output_html={tmp_path}/sheet.html"])
    workdir = result_page.parents[2]
    report.main([f"--workdir={workdir}", f"--output_html={tmp_path}/run.html"])
    for page in (result_page, tmp_path / "sheet.html", tmp_path / "run.html"):
        window.open(page, PHONE, 844)
        window.run("document.getElementById('open')?.click()")
        assert window.run("document.documentElement.scrollWidth") == PHONE, page
        sizes = window.run(
            "[...document.querySelectorAll('svg text')].map((text) => text.getBoundingClientRect().height)"
        )
        assert min(sizes) > 8, page


def test_photographs_beside_the_page_are_shown(
    window: Browser, result_page: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    output = tmp_path / "a page.html"
    report.main(
        [f"--workdir={result_page.parents[2]}", "--split=test", f"--output_html={output}", "--embedded_megabytes=0"]
    )
    window.open(output)
    widths = "Promise.all([...document.images].map((image) => image.decode().then(() => image.naturalWidth)))"
    assert window.run(widths) == [32] * 24


def test_the_page_of_runs_loads_itself_anew_and_keeps_what_was_open(
    window: Browser, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from im2txt.reporting import run_content, run_page

    workdir = tmp_path / "run"
    evaluated_runs.write_run(workdir, tmp_path)
    evaluated_runs.write_rows(workdir, [{"kind": "train", "step": 10, "epoch": 0.5, "loss": 2.0}])
    append_samples(str(workdir), 10, [SampleCaption(1, NASTY, NASTY)])

    def write(refresh_secs: float) -> pathlib.Path:
        runs = run_content.gather([str(workdir)], str(tmp_path / "page.html"), os.path.getmtime(workdir))
        (tmp_path / "page.html").write_text(run_page.page(runs, refresh_secs))
        return tmp_path / "page.html"

    window.messages.clear()
    window.call(
        "Page.addScriptToEvaluateOnNewDocument", source="window.setTimeout = (...waiting) => { due = waiting; }"
    )
    window.open(write(30.0))
    opened = "new Promise((done) => details.addEventListener('toggle', () => done(details.open)))"
    assert window.run(f"details = document.querySelector('details'); details.open = true; {opened}")
    evaluated_runs.write_rows(workdir, [{"kind": "train", "step": 1234, "epoch": 0.9, "loss": 1.0}])
    write(30.0)
    before = window.loaded
    assert window.run("due[1]") == 30_000
    window.run("due[0]()")
    window.wait_for_load(before)
    assert "1,234" in window.run("document.querySelector('tbody').textContent")
    assert window.run("document.querySelector('details').open")
    assert window.run("document.title") == "run"
    assert NASTY in window.run("document.body.textContent")
    assert window.messages == []
