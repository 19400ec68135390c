"""What the commands hand on of their flags; what is done with it, other tests hold."""

import importlib
import types

import fake_shards
import pytest

from im2txt import report, run_inference, serve
from im2txt.configuration import ExperimentConfig
from im2txt.engines.local_engine import LocalEngine
from im2txt.inference.caption_evaluation import Extras
from im2txt.inference.caption_model import Model
from im2txt.inference.photograph_captioner import CaptionedPhotograph, PhotographCaptioner
from im2txt.serving.service_limits import ServiceLimits

NO_RESULT = {"num_images": 0, "step": 0, "beam_size": 0, "perplexity": 1.0, "photographs": 0, "errors": {}}


@pytest.fixture
def places(tmp_path):
    """A run as far as doors look at it, twice, shards, and a file."""
    fake_shards.write_folder(tmp_path / "shards")
    for name in ("run", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(ExperimentConfig().to_json())
    (tmp_path / "file.json").write_text("[]")
    return {name: str(tmp_path / name) for name in ("shards", "run", "second", "file.json", "new")}


@pytest.fixture
def handed(monkeypatch, places):
    """Starts a command, and returns what it calls a function with; a list, if it is called."""

    def start(module, target, result, flags):
        calls = []

        def record(*args, **kwargs):
            calls.append((*args, *kwargs.items()))
            return result

        monkeypatch.setattr(target, record)
        monkeypatch.setattr("im2txt.inference.score_table.score_table", lambda _: [])
        monkeypatch.setattr("sys.argv", [module, *(flag.format(**places) for flag in flags)])
        importlib.import_module(module).main()
        (call,) = calls
        return call

    return start


def test_evaluate_hands_on_what_a_run_is_scored_with(handed, places, monkeypatch):
    monkeypatch.setattr(Extras, "prepare", lambda *args: args)
    flags = ["--workdir={run}", "--data_dir={shards}", "--split=val", "--output_dir={new}", "--batch_size=3"]
    flags += ["--num_threads=2", "--beam_size=4", "--length_normalization_factor=0.5", "--num_workers=5"]
    flags += ["--compare={file.json}".replace("{file.json}", places["file.json"]), "--meteor"]
    model, split, output_dir, data_dir, engine, extras = handed(
        "im2txt.evaluate", "im2txt.inference.scoring.score_run", NO_RESULT, flags
    )
    assert model == Model((places["run"],), (("beam_size", 4), ("length_normalization_factor", 0.5)), 3, 2)
    assert (split, output_dir, data_dir) == ("val", places["new"], places["shards"])
    assert vars(engine) == vars(LocalEngine(5))
    assert extras == (("METEOR",), places["file.json"])


@pytest.mark.parametrize(("workers", "threads"), [(1, 0), (2, 1)])
def test_one_worker_takes_all_cores_and_each_of_several_one_thread(handed, workers, threads):
    flags = ["--workdir={run}", "--data_dir={shards}", f"--num_workers={workers}"]
    model, *_ = handed("im2txt.evaluate", "im2txt.inference.scoring.score_run", NO_RESULT, flags)
    assert model.num_threads == threads


def test_evaluate_hands_on_what_results_are_scored_with(handed, monkeypatch):
    monkeypatch.setattr(Extras, "prepare", lambda *args: args)
    flags = ["--results=a", "--references=b", "--training_references=c", "--compare=d", "--output_dir=e", "--spice"]
    call = handed("im2txt.evaluate", "im2txt.inference.caption_evaluation.score_results", NO_RESULT, flags)
    assert call == ("a", "b", "e", (("SPICE",), "d"), "c")


def test_batch_inference_hands_on_inputs_model_and_format(handed, places):
    flags = ["{shards}", "--workdir={run}", "--workdir={second}", "--output_dir={new}", "--output_format=tfrecord"]
    flags += ["--batch_size=3", "--num_threads=2", "--beam_size=4", "--num_workers=5"]
    paths, output_dir, output_format, model, engine = handed(
        "im2txt.batch_inference", "im2txt.batch_inference.caption_files", NO_RESULT, flags
    )
    assert len(paths) == 6
    assert (output_dir, output_format) == (places["new"], "tfrecord")
    assert model == Model((places["run"], places["second"]), (("beam_size", 4),), 3, 2)
    assert vars(engine) == vars(LocalEngine(5))


def test_batch_inference_tells_the_model_of_a_folder_of_features(handed, places, monkeypatch):
    monkeypatch.setattr("im2txt.batch_inference.find_files", lambda _: (["a"], "features"))
    flags = ["a", "--workdir={run}", "--output_dir={new}"]
    *_, model, _ = handed("im2txt.batch_inference", "im2txt.batch_inference.caption_files", NO_RESULT, flags)
    assert model.features_dir == "features"


def test_export_hands_on_the_decoding(handed, places):
    flags = ["--workdir={run}", "--output_dir={new}", "--beam_size=4"]
    run = types.SimpleNamespace(step=1, config=ExperimentConfig(), vocabulary=())
    call = handed("im2txt.export", "im2txt.inference.saved_model.export_run", run, flags)
    assert call == (places["run"], places["new"], {"beam_size": 4})


@pytest.mark.parametrize(
    ("flags", "loader"),
    [
        (["--workdir={run}", "--workdir={second}"], "load"),
        (["--checkpoint_path={file.json}", "--vocab_file={file.json}"], "load_checkpoint"),
    ],
)
def test_run_inference_hands_on_runs_decoding_and_batch_size(places, monkeypatch, flags, loader):
    calls = []
    monkeypatch.setattr(PhotographCaptioner, loader, lambda *args, **decoding: calls.append((args, decoding)))

    def caption(captioner, named, batch_size, total):
        calls.append((batch_size, total))
        return iter([(name, CaptionedPhotograph()) for name, _ in named])

    monkeypatch.setattr("im2txt.inference.photographs.caption_photographs", caption)
    named = [flag.replace("{file.json}", places["file.json"]).format(**places) for flag in flags]
    assert run_inference.main([*named, places["file.json"], "--beam_size=4", "--batch_size=7"]) == 0
    runs = (places["run"], places["second"]) if loader == "load" else (places["file.json"],) * 2
    assert calls == [(runs, {"beam_size": 4}), (7, 1)]


def test_the_page_of_run_inference_has_the_size_asked_for(places, monkeypatch):
    calls = []
    monkeypatch.setattr(PhotographCaptioner, "load", lambda *_, **__: None)
    monkeypatch.setattr("im2txt.reporting.caption_page.write_page", lambda *args: calls.append(args) or (0, 0))
    flags = [f"--workdir={places['run']}", places["file.json"], "--format=html", "--output=a.html"]
    run_inference.main([*flags, "--embedded_megabytes=0.5"])
    ((path, title, _, embedded_bytes),) = calls
    assert (path, title, embedded_bytes) == ("a.html", "Captions by run", 500_000)


def test_report_hands_on_shards_size_and_how_often(places, monkeypatch):
    calls = []
    monkeypatch.setattr("im2txt.reporting.run_page.follow", lambda *args: calls.append(args))
    report.main(["--workdir=a", "--workdir=b", "--output_html=c", "--refresh_secs=5"])
    assert calls == [(("a", "b"), "c", 5.0)]
    content = types.SimpleNamespace(notes=[], images=[])
    gathered = []
    monkeypatch.setattr("im2txt.reporting.result_content.gather", lambda *args: gathered.append(args) or content)
    monkeypatch.setattr("im2txt.reporting.result_page.page", lambda _: "")
    page = f"{places['run']}/page.html"
    report.main(["--workdir=a", "--split=val", "--data_dir=b", f"--output_html={page}", "--embedded_megabytes=0.5"])
    assert gathered == [("a", "val", "b", page, 500_000)]


def test_serve_hands_its_limits_to_service_application_and_server(monkeypatch):
    seen = {}

    def record(name, result=None):
        return lambda *args: seen.setdefault(name, args) and result

    service = types.SimpleNamespace(warm_up=record("warm_up"))
    monkeypatch.setattr(serve, "check_exported_folder", lambda _: None)
    monkeypatch.setattr(serve, "read_vocabulary", lambda _: "words")
    monkeypatch.setattr("im2txt.inference.exported_model.ExportedModel", lambda folder: folder)
    monkeypatch.setattr("im2txt.serving.photograph_service.PhotographService", record("service", service))
    monkeypatch.setattr("im2txt.serving.application.build_application", record("application", "application"))
    monkeypatch.setattr("im2txt.serving.server.listen", record("listen", "socket"))
    monkeypatch.setattr("im2txt.serving.server.is_loopback", lambda _: True)
    monkeypatch.setattr("im2txt.serving.server.address_of", lambda _: "address")
    monkeypatch.setattr("im2txt.serving.server.make_server", record("make_server", "server"))
    monkeypatch.setattr("im2txt.serving.server.serve", record("serve"))
    monkeypatch.setattr("sys.argv", ["serve", "--model=m", "--host=h", "--port=1", "--max_batch_size=3"])
    serve.main()
    limits = ServiceLimits(max_batch_size=3)
    assert seen["listen"] == ("h", 1)
    assert seen["service"][:2] == ("m", limits)
    assert seen["warm_up"] == ()
    assert seen["application"][:3] == (service, "words", limits)
    assert seen["make_server"] == ("application", limits)
    assert seen["serve"] == ("server", "socket")
