"""The report as one HTML page: no script, no other file, for phones and desktops, light and dark."""

from __future__ import annotations

import html
import math
import shlex
from collections.abc import Mapping
from typing import Any

from im2txt.reporting.loss_curve import loss_curve
from im2txt.reporting.page_style import STYLE
from im2txt.reporting.report_content import Picture, ReportContent

# Of 0 to 1, or more for CIDEr-D: higher is better. Whatever else scores.json holds describes the captions.
_METRICS = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D")
_SCENE_MEASURES = {
    "shape": "every shape named is there",
    "colour": "every colour named is there",
    "both": "each shape named has its colour",
    "complete": "and no shape is left out",
}


def page(content: ReportContent) -> str:
    """Returns the page; whatever comes from files is escaped."""
    title = html.escape(content.workdir.rstrip("/").rsplit("/", 1)[-1] or content.workdir)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><header><h1>{title}</h1><p>{html.escape(_headline(content))}</p></header><main>"
        f"<div>{_scores(content)}{_data(content)}</div><div>{_scene_scores(content)}{_curve(content)}</div>"
        f"{_gallery(content)}{_config(content)}</main></body></html>\n"
    )


def _headline(content: ReportContent) -> str:
    encoder, decoder = content.config.get("encoder", {}), content.config.get("decoder", {})
    parts = [f"{encoder.get('backbone', 'encoder')} and LSTM of {decoder.get('num_lstm_units', '?')} units"]
    if content.train_losses:
        parts.append(f"trained for {content.train_losses[-1][0]:,} steps")
    parts.append(f"data in {content.config['input']['data_dir']}")
    return " · ".join(parts)


def _section(title: str, body: str, wide: bool = False) -> str:
    return f"<section{' class=wide' if wide else ''}><h2>{html.escape(title)}</h2>{body}</section>"


def _missing(what: str, command: str) -> str:
    """Says what is not there yet and how to get it."""
    return f'<p class="missing">{html.escape(what)}</p><pre>{html.escape(command)}</pre>'


def _evaluate_command(content: ReportContent) -> str:
    return f"python -m im2txt.evaluate --workdir={shlex.quote(content.workdir)} --split={shlex.quote(content.split)}"


def _scores(content: ReportContent) -> str:
    if content.scores is None:
        return _section("Scores", _missing(f"No scores on {content.split} yet.", _evaluate_command(content)))
    result = content.scores
    scores, floor, human = result["scores"], result["floor"]["scores"], result["human"]["scores"]
    bars = "".join(
        _bar(name, value, floor.get(name), human.get(name), "{:.3f}")
        for name, value in scores.items()
        if name in _METRICS
    )
    tiles = [("perplexity per word", f"{result['perplexity']:.2f}")]
    if floor.get("CIDEr-D"):
        tiles.insert(0, ("CIDEr-D, times the constant caption's", f"{scores['CIDEr-D'] / floor['CIDEr-D']:.1f} ×"))
    return _section(
        "Scores",
        f'<p class="soft">{result["num_images"]:,} photographs of {html.escape(result["split"])}, step '
        f"{result['step']:,}, beam of {result['beam_size']}</p>"
        + "".join(f'<div class="tile"><b>{value}</b><span>{html.escape(label)}</span></div>' for label, value in tiles)
        + f'<div class="bars">{bars}</div>{_key("one person against the others")}'
        f'<p class="soft">The best constant caption is “{html.escape(result["floor"]["caption"])}”.</p>'
        + _facts(scores, floor, human),
    )


def _facts(scores: Mapping[str, float], floor: Mapping[str, float], human: Mapping[str, float]) -> str:
    """A table of what scores.json says of the captions besides metrics."""
    rows = ""
    for name, value in scores.items():
        if name not in _METRICS:
            cells = "".join(
                "<td></td>" if v is None else f"<td>{v:.4g}</td>" for v in (value, floor.get(name), human.get(name))
            )
            rows += f"<tr><td>{html.escape(name.replace('_', ' '))}</td>{cells}</tr>"
    header = "<tr><th></th><th>this run</th><th>constant</th><th>people</th></tr>"
    return f'<div class="scroll"><table>{header}{rows}</table></div>' if rows else ""


def _scene_scores(content: ReportContent) -> str:
    if content.scene_scores is None:
        return ""
    right, constant = content.scene_scores["right"], content.scene_scores["best_constant"]
    bars = "".join(
        _bar(f"{name}: {_SCENE_MEASURES[name]}", share, constant[name], None, "{:.1%}") for name, share in right.items()
    )
    return _section(
        "Captions that are right",
        f'<p class="soft">Checked against what was drawn, {content.scene_scores["num_images"]:,} scenes</p>'
        f'<div class="bars">{bars}</div>{_key("")}',
    )


def _bar(name: str, value: float, floor: float | None, human: float | None, form: str) -> str:
    """A value as a bar, with marks at the constant caption's and the people's."""
    longest = max(1.0, value, floor or 0.0, human or 0.0)
    marks = "".join(
        f'<i class="{kind}" style="left:{mark / longest:.2%}" title="{form.format(mark)}"></i>'
        for kind, mark in (("floor", floor), ("human", human))
        if mark is not None
    )
    others = " · ".join(form.format(other) for other in (floor, human) if other is not None)
    return (
        f'<div class="bar"><span>{html.escape(name)}</span>'
        f"<span><b>{form.format(value)}</b> <small>{others}</small></span>"
        f'<div class="track"><div style="width:{max(value, 0) / longest:.2%}"></div>{marks}</div></div>'
    )


def _key(human: str) -> str:
    second = f'<i class="human"></i>{html.escape(human)}' if human else ""
    return f'<p class="key"><i class="run"></i>this run<i class="floor"></i>best constant caption{second}</p>'


def _curve(content: ReportContent) -> str:
    if not content.train_losses and not content.val_losses:
        command = f"python -m im2txt.train --config=... --workdir={shlex.quote(content.workdir)}"
        return _section("Loss", _missing("No metrics.jsonl with losses yet; training writes it.", command))
    key = '<p class="key">'
    if content.train_losses:
        key += f'<i class="train"></i>training, last {content.train_losses[-1][1]:.3f}'
    if content.val_losses:
        step, loss = min(content.val_losses, key=lambda point: point[1])
        key += f'<i class="val"></i>validation, best {loss:.3f} at step {step:,} (perplexity {math.exp(loss):.2f})</p>'
    else:
        key += '</p><p class="missing">No validation yet: the first comes after training.eval_every_epochs.</p>'
    axes = '<p class="axes"><span>nats per word</span><span>perplexity</span></p>'
    return _section("Loss", key + axes + loss_curve(content.train_losses, content.val_losses))


def _gallery(content: ReportContent) -> str:
    if not content.num_captioned:
        return _section("Captions", _missing(f"No captions of {content.split} yet.", _evaluate_command(content)), True)
    note = f'<p class="missing">{html.escape(content.picture_note)}</p>' if content.picture_note else ""
    return _section(
        "Captions",
        f'<p class="soft">{len(content.pictures)} of {content.num_captioned:,} photographs, drawn at random. '
        "Beside each caption stands the sum of its words' log probabilities in nats; the search's best comes first.</p>"
        f"{note}"
        f'<div class="cards">{"".join(map(_card, content.pictures))}</div>',
        True,
    )


def _card(picture: Picture) -> str:
    image = ""
    if picture.data_url is not None:
        # Few pixels are shown as what they are.
        kind = ' class="small"' if picture.width <= 128 else ""
        image = f'<img{kind} alt="{html.escape(picture.file_name)}" src="{picture.data_url}">'
    text = '<p class="missing">The search found no caption.</p>'
    if picture.candidates:
        text = f'<p class="caption">{_candidate(picture.candidates[0])}</p>'
    if picture.candidates[1:]:
        others = "".join(f"<li>{_candidate(candidate)}</li>" for candidate in picture.candidates[1:])
        text += f'<ul class="others">{others}</ul>'
    if picture.references:
        listed = "".join(f"<li>{html.escape(caption)}</li>" for caption in picture.references)
        text += f"<h3>People wrote</h3><ul>{listed}</ul>"
    return f'<article>{image}<div>{text}<p class="name">{html.escape(picture.file_name)}</p></div></article>'


def _candidate(candidate: Mapping[str, Any]) -> str:
    cut = "" if candidate["is_complete"] else ", cut off at the greatest length"
    return (
        f"{html.escape(candidate['caption'])} "
        f'<small title="log probability in nats{cut}">{candidate["log_prob"]:.2f}{" …" if cut else ""}</small>'
    )


def _data(content: ReportContent) -> str:
    if content.data is None:
        return ""
    header = "<tr><th>split</th><th>photographs</th><th>captions</th><th>words</th><th>unknown</th></tr>"
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{split.images:,}</td><td>{split.captions:,}</td><td>{split.words:,}</td>"
        f"<td>{split.unknown_words / max(split.words, 1):.2%}</td></tr>"
        for name, split in content.data.splits.items()
    )
    return _section("Data", f'<div class="scroll"><table>{header}{rows}</table></div>')


def _config(content: ReportContent) -> str:
    sections = "".join(
        f"<div><h3>{html.escape(name)}</h3><dl>"
        + "".join(f"<dt>{html.escape(key)}</dt><dd>{html.escape(str(value))}</dd>" for key, value in fields.items())
        + "</dl></div>"
        for name, fields in content.config.items()
        if isinstance(fields, dict)
    )
    return _section(
        "Configuration", f'<details><summary>Every field</summary><div class="fields">{sections}</div></details>'
    )
