"""The tutorials' counts by hand on three photographs, and exactly as printed where Flickr8k's captions are at hand."""

import os

import pytest

from data_prep import tutorial_figures as command
from data_prep.checking import tutorial_counts

TEXT_DIR = os.environ.get("IM2TXT_FLICKR8K_TEXT", "")


@pytest.fixture
def text_dir(tmp_path):
    lines = [
        "1_a.jpg#0\tA 3rd dog runs .",
        "1_a.jpg#1\tTwo dogs",
        "2_b.jpg.1#0\tA dog",
        "3_c.jpg#0\tdog sits",
        "3_c.jpg#1\tX",
    ]
    (tmp_path / "Flickr8k.token.txt").write_text("\n".join(lines))
    (tmp_path / "Flickr_8k.trainImages.txt").write_text("1_a.jpg\n")
    (tmp_path / "Flickr_8k.devImages.txt").write_text("3_c.jpg\n")
    return tmp_path


def test_counts_by_hand(text_dir):
    assert tutorial_counts.tutorial_figures(str(text_dir)) == {
        "first descriptions": 3,
        "first descriptions: words": 4,  # 3rd, dog, runs, sits
        "first descriptions: rows of the word table": 5,
        "first descriptions: longest": 3,
        "first descriptions: pairs": 3,  # 3rd dog, 3rd dog runs; none of one word; dog sits
        "train: rows of the word table": 7,  # startseq, dog, runs, endseq, two, dogs, and padding
        "train: longest": 4,
        "train: pairs": 6,
        "dev: pairs": 3,  # startseq dog endseq, for no caption of train has sits; startseq endseq
    }


def test_the_command_says_what_differs(text_dir, capsys):
    assert command.main([f"--text_dir={text_dir}"]) == 1
    assert "first descriptions: longest                            3        28  differs" in capsys.readouterr().out


@pytest.mark.skipif(not TEXT_DIR, reason="IM2TXT_FLICKR8K_TEXT names no folder of Flickr8k's captions.")
def test_flickr8k_gives_every_figure_that_the_tutorials_print(capsys):
    assert command.main([f"--text_dir={TEXT_DIR}"]) == 0
    assert "306,404" in capsys.readouterr().out
