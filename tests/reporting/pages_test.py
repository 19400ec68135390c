"""Escaping, the script's data, and the policy that lets no other script run."""

import base64
import hashlib
import html
import json
import re

import pytest

from im2txt.reporting import pages

NASTY = '</script><script>alert("1")</script><img src=x onerror=alert(2)>&\'\u2028'


def render(**changes):
    context = {"title": "t", "lines": [], "table": [["a"]], "lengths": "", "word_lists": [], "cards": []}
    return pages.render("contact_sheet.html", **context | changes)


def test_what_comes_from_files_is_escaped():
    page = render(title=NASTY, lines=[NASTY], table=[["a"], [NASTY]])
    assert "<script" not in page
    assert "<img" not in page
    assert page.count("&lt;script&gt;alert(&#34;1&#34;)") == 4  # Twice the title.


def test_data_leaves_the_script_element_only_through_its_reader():
    page = render(scripts=["captions.js", "result_page.js"], data={"text": NASTY, "letters": "äß☃"})
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert json.loads(data) == {"text": NASTY, "letters": "äß☃"}
    assert "<" not in data
    assert page.count("<script") == 2


def test_the_policy_lets_the_pages_own_script_run_and_no_other():
    page = render(scripts=["captions.js", "result_page.js"], data={})
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html.unescape(page)
    assert "script-src 'none'" in html.unescape(render())
    assert "default-src 'none'" in page


def test_a_number_that_json_does_not_know_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        render(scripts=["captions.js", "result_page.js"], data={"log_prob": float("-inf")})
