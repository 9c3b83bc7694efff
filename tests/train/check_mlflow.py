"""`train --track mlflow` with real MLflow, which shares no environment with the tests' tools: `make test-mlflow`."""

from __future__ import annotations

import csv
from pathlib import Path

import mlflow
import pytest
from click.testing import CliRunner, Result

from fer_edge.edge.cli import main
from fer_edge.train.tracking import DOCUMENTS


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    address = f"sqlite:///{tmp_path}/mlflow.db"
    mlflow.set_tracking_uri(address)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    return address


def train(synthetic_csv: Path, *words: object) -> Result:
    fields = ["--weights", "none", "--warmup-epochs", 0, "--top-epochs", 0, "--full-epochs", 2, "--batch-size", 70]
    every = ["train", "mobilenet_v2_small", "--data", synthetic_csv, "--track", "mlflow", *fields, *words]
    return CliRunner().invoke(main, [str(word) for word in every])


def test_a_run_has_parameters_figures_and_files(synthetic_csv: Path, tmp_path: Path) -> None:
    done = train(synthetic_csv)
    assert done.exit_code == 0, done.stderr
    folder = tmp_path / "runs" / "mobilenet_v2_small"
    (run,) = mlflow.search_runs(output_format="list")
    assert (run.info.status, run.info.run_name) == ("FINISHED", "mobilenet_v2_small")
    assert run.data.params["full_epochs"] == "2" and "happy" in run.data.params["classes"]
    client = mlflow.MlflowClient()
    rows = list(csv.DictReader((folder / "history.csv").open()))
    figures = client.get_metric_history(run.info.run_id, "loss/val")
    assert [(each.step, each.value) for each in figures] == [
        (1, float(rows[0]["val_loss"])),
        (2, float(rows[1]["val_loss"])),
    ]
    assert {each.path for each in client.list_artifacts(run.info.run_id)} == set(DOCUMENTS)


def test_an_interrupted_run_goes_on_as_the_same(synthetic_csv: Path, tmp_path: Path) -> None:
    callback = tmp_path / "callback.py"
    callback.write_text(
        "import keras\nclass Fail(keras.callbacks.Callback):\n"
        "    def on_epoch_end(self, epoch, logs=None):\n        raise ValueError\n"
        "def callbacks(run):\n    return [Fail()]\n"
    )
    assert train(synthetic_csv, "--callback", callback).exit_code == 2
    (run,) = mlflow.search_runs(output_format="list")
    assert run.info.status == "FAILED"
    assert train(synthetic_csv, "--resume").exit_code == 0
    (same,) = mlflow.search_runs(output_format="list")
    assert (same.info.run_id, same.info.status) == (run.info.run_id, "FINISHED")
    assert [each.step for each in mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss/val")] == [1, 2]


def test_a_server_that_is_away_does_not_cost_the_training(
    synthetic_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    done = train(synthetic_csv)
    assert done.exit_code == 0 and "the training goes on without it" in done.stderr
    assert (tmp_path / "runs" / "mobilenet_v2_small" / "metrics.json").is_file()
