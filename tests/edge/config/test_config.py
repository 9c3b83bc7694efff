"""fer-edge.toml: found, checked, overridden by flags, printed; by real processes where it matters."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, cast

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.edge.cli import COMMANDS, main
from fer_edge.edge.config import file as config
from fer_edge.edge.config.option_values import as_toml, as_words, default, options
from fer_edge.edge.config.tables import settings
from fer_edge.models import FOLDER

PORTRAIT = FOLDER.parent / "benchmarks" / "astronaut.jpg"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of this machine's user gets in the way."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))


def written(folder: Path, text: str) -> Path:
    path = folder / config.NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def fer_edge(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def one_line(result: Result) -> str:
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    return line


def test_the_working_folder_comes_before_the_users(tmp_path: Path) -> None:
    assert config.find() is None or config.find() == config.places()[2]
    mine = written(tmp_path / "user" / "fer-edge", "")
    assert config.find() == mine
    written(tmp_path, "")
    assert config.find() == Path(config.NAME)
    assert config.find(mine) == mine
    assert config.places({"XDG_CONFIG_HOME": "/x"})[1:] == [
        Path("/x/fer-edge/fer-edge.toml"),
        Path("/etc/fer-edge/fer-edge.toml"),
    ]


def test_a_run_takes_the_file_and_flags_win(tmp_path: Path) -> None:
    written(tmp_path, f"[run]\nsource = '{PORTRAIT}'\nshow = 'none'\njsonl = 'file.jsonl'\nearly-exit = false\n")
    done = fer_edge("run")
    assert done.exit_code == 0, done.stderr
    assert "config: fer-edge.toml" in done.stderr
    assert "cascade" not in done.stderr
    assert (tmp_path / "file.jsonl").read_text().count("\n") == 1
    assert fer_edge("run", "--jsonl", "flag.jsonl", "--early-exit", "--quiet").stderr == ""
    assert (tmp_path / "flag.jsonl").exists()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("camera = 99", ("--source", str(PORTRAIT), "--show", "none")),
        ("jsonl = '-'", ("--source", str(PORTRAIT), "--show", "text")),
        ("show = 'text'", ("--source", str(PORTRAIT), "--jsonl", "-")),
        ("early-exit = false", ("--source", str(PORTRAIT), "--show", "none", "--latency-budget", "9000")),
        ("rotate = 90", ("--source", str(PORTRAIT), "--show", "none")),
        ("latency-budget = 9", ("--source", str(PORTRAIT), "--show", "none", "--no-early-exit")),
    ],
)
def test_a_flag_beats_what_it_excludes_in_the_file(tmp_path: Path, table: str, words: tuple[str, ...]) -> None:
    written(tmp_path, f"[run]\n{table}\n")
    assert fer_edge("run", *words).exit_code == 0


def test_what_excludes_each_other_in_one_place_is_a_mistake(tmp_path: Path) -> None:
    written(tmp_path, "[run]\ncamera = 0\nsource = 'x'\n")
    for words in ((), ("--camera", "0", "--source", "x")):
        assert "--camera and --source exclude each other" in fer_edge("run", *words).stderr


@pytest.mark.faults
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[run]\ntreads = 2", "[run] treads is not an option of 'fer-edge run'; did you mean threads?"),
        (
            "[run]\nsave_video = 'x.mp4'",
            "[run] save_video is not an option of 'fer-edge run'; did you mean save-video?",
        ),
        ("[run]\nno-early-exit = true", "no-early-exit is not an option of 'fer-edge run'; write early-exit = false"),
        ("[rum]\nthreads = 2", "[rum] is not a command's table; did you mean run?"),
        ("[zzz]", "[zzz] is not a command's table; expected run, predict, cameras, models"),
        ("threads = 2", "threads = …: expected it in a command's table, such as [run]"),
        ("run = 2", "run = …: expected it in a command's table"),
        ("[config]\nexample = true", "[config] is not a command's table"),
        ("[run]\nthreads = 0", "[run] threads = 0: 0 is not in the range 1<=x<=64"),
        ("[run]\nthreads = '2'", '[run] threads = "2": expected a whole number'),
        ("[run]\nthreads = true", "[run] threads = true: expected a whole number"),
        ("[run]\nthreads = 2.5", "[run] threads = 2.5: expected a whole number"),
        ("[run]\nearly-exit = 1", "[run] early-exit = 1: expected true or false"),
        ("[run]\nsmooth = 'x'", '[run] smooth = "x": expected a number'),
        ("[run]\nsmooth = -1", "[run] smooth = -1: -1"),
        ("[run]\nshow = 'no'", "[run] show = \"no\": 'no' is not one of"),
        ("[run]\ncamera = [0]", "[run] camera = …: expected a text in quotes"),
        ("[run]\ncamera = {a = 1}", "[run] camera = …: expected a text in quotes"),
        ('[run]\ncsv = "a\\u0000.csv"', "[run] csv = …: expected a text without \\u0000"),
        ('[run]\nsave-video = "a\\u0000.mp4"', '[run] save-video = "a\\u0000.mp4": expected a text without \\u0000'),
        ('[run]\non = [["happy", "a\\u0000"]]', "[run] on = …: expected a text without \\u0000"),
        ("[run", "is not TOML: "),
        ("[run]\na = 1\na = 2", "is not TOML: "),
    ],
)
def test_mistakes_cost_one_line_with_file_table_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path / "x", text)
    line = one_line(fer_edge("--config", path, "run", "--source", PORTRAIT))
    assert line.startswith(f"fer-edge: {path}")
    assert message in line


@pytest.mark.parametrize(
    "text",
    [
        "mqtt = 'mqtt://u:s3cret pw@h'",
        "run = 'mqtt://u:s3cret@h'",
        "[run]\nmqt = 'mqtt://u:s3cret@h'",
        "[run]\nmqtt = ['mqtt://u:s3cret@h']",
        "[run]\nsource = {a = 'rtsp://u:s3cret/!?&pw@h'}",
        "[run]\nweb-token = ['s3cret']",
        "[run]\nweb-token = 53.3375",
        "[run]\nmqtt-password = 's3cret'",
        "[run]\non = ['happy', 'curl -u u:s3cret h']",
        "[run]\non = [['hapy', 'curl -u u:s3cret h']]",
        "[run]\nmqtt = 'mqtt://u:s3cret@h",
        "[run]\nmqtt = mqtt://u:s3cret@h",
        "web-token = 's3cret'\nweb-token = 's3cret'",
    ],
)
def test_no_password_is_repeated(tmp_path: Path, text: str) -> None:
    """These lines go into the journal."""
    line = one_line(fer_edge("--config", written(tmp_path / "x", text), "run", "--source", PORTRAIT))
    assert not re.search(r"s3cret|53\.|pw", line)


def test_files_that_cannot_be_read_cost_one_line(tmp_path: Path) -> None:
    assert "no such file" in one_line(fer_edge("--config", "nowhere.toml", "run"))
    assert "cannot be read: Is a directory" in one_line(fer_edge("--config", tmp_path, "run"))
    (tmp_path / "latin.toml").write_bytes(b"[run]\ncamera = '\xe4'\n")
    assert "not text in UTF-8" in one_line(fer_edge("--config", "latin.toml", "run"))


def test_help_and_doctors_work_with_a_broken_file(tmp_path: Path) -> None:
    written(tmp_path, "[run")
    assert fer_edge("run", "--help").exit_code == 0
    assert "is not TOML" in one_line(fer_edge("config"))


def test_other_commands_tables_are_not_imported(tmp_path: Path) -> None:
    """As is a file's reader where there is no file."""
    code = (
        "import sys; from fer_edge.edge.cli import main\n"
        "try: main(['models', 'list'])\n"
        "except SystemExit: print(*(name for name in sys.modules), sep='\\n', file=sys.stderr)"
    )

    def loaded() -> set[str]:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return set(done.stderr.splitlines())

    assert not {"tomllib", "difflib", "fer_edge.edge.config.tables", "fer_edge.edge.config.option_values"} & loaded()
    written(tmp_path, "[train]\nepochs = 'nonsense'\n[run]\nthreads = 1\n[bench.latency]\nruns = 10\n")
    names = loaded()
    assert "fer_edge.edge.config.tables" in names
    assert not {"fer_edge.train", "fer_edge.benchmarks", "fer_edge.edge.commands.run"} & names


def test_commands_of_groups_have_tables_of_their_own(tmp_path: Path) -> None:
    path = written(tmp_path, "[models.list]\njson = true\n[bench.latency]\nruns = 1\n")
    assert fer_edge("models", "list").stdout.startswith("[{")
    assert one_line(fer_edge("bench", "latency")).endswith("[bench.latency] runs = 1: 1 is not in the range x>=10")
    assert fer_edge("models", "show", "mobilenet_v2").exit_code == 0
    path.write_text("[models.lists]\n")
    assert "[models.lists] is not a command's table; did you mean list?" in one_line(fer_edge("models", "list"))
    path.write_text("[models]\nlist = 1\n")
    assert "list = …: expected it in a command's table" in one_line(fer_edge("models", "list"))


@pytest.mark.faults
@pytest.mark.parametrize(
    ("line", "variable"),
    [
        ("mqtt = 'mqtt://maker:${PASSWORD}@host/x'", "FER_EDGE_RUN_MQTT"),
        ("web-token = '${TOKEN}'", "FER_EDGE_RUN_WEB_TOKEN"),
        ("web-token = '$TOKEN'", "FER_EDGE_RUN_WEB_TOKEN"),
        ("save-video = '${HOME}/x.mp4'", "FER_EDGE_RUN_SAVE_VIDEO"),
        ("snapshot-on = ['${EMOTION}']", "FER_EDGE_RUN_SNAPSHOT_ON"),
    ],
)
def test_a_shells_variable_is_not_taken_literally(tmp_path: Path, line: str, variable: str) -> None:
    written(tmp_path, f"[run]\n{line}\n")
    assert f"set {variable} in the environment" in one_line(fer_edge("run"))
    written(tmp_path, "[run]\non = [['happy', 'sh -c \"echo ${FER_EDGE_EMOTION}\"']]\nweb-token = 'a$b%c%'\n")
    assert fer_edge("config", "run").exit_code == 0


@pytest.mark.faults
def test_every_editor_will_do(tmp_path: Path) -> None:
    """Byte order mark and CRLF; but no UTF-16."""
    path = written(tmp_path, "")
    for content in (b"\xef\xbb\xbf[run]\nthreads = 3\n", b"[run]\r\nthreads = 3\r\n", b"\n\n[run]\nthreads = 3"):
        path.write_bytes(content)
        assert "threads = 3  #" in fer_edge("config", "run").stdout
    for content in ("[run]\n".encode("utf-16"), "[run] # é\n".encode("latin-1"), b"[run]\nthreads=1\nthreads=2\n"):
        path.write_bytes(content)
        assert "is not TOML" in one_line(fer_edge("config", "run"))


@click.command()
@click.option("--word", multiple=True)
@click.option("--on", nargs=2, multiple=True)
@click.option("--pair", type=(str, int))
@click.option("-v", "--verbose", count=True)
@click.option("--home", type=click.Path(path_type=Path))
@click.option("--required", required=True)
def every(**options: Any) -> None:
    """Every shape that an option may have."""
    for name, value in options.items():
        click.echo(f"{name}={value!r}")


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    module = type(sys)("fer_edge_shapes")
    module.every = every  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fer_edge_shapes", module)
    monkeypatch.setitem(COMMANDS, "every", ("fer_edge_shapes:every", "Every shape."))


@pytest.mark.usefixtures("shapes")
def test_lists_pairs_counts_and_what_is_required(tmp_path: Path) -> None:
    text = "word = ['a', 'b']\non = [['happy', 'x'], ['sad', 'y']]\npair = ['p', 3]\nverbose = 2\nhome = '~/x'\n"
    path = written(tmp_path, f"[every]\n{text}required = 'r'\n")
    done = fer_edge("every", "--word", "c")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[:4] == [
        "word=('c',)",
        "on=(('happy', 'x'), ('sad', 'y'))",
        "pair=('p', 3)",
        "verbose=2",
    ]
    assert str(Path.home() / "x") in done.stdout
    values = {"word": ["a", "b"], "on": [["happy", "x"]], "pair": ["p", 3], "verbose": 2, "home": "/x", "required": "r"}
    words = [word for key, value in values.items() for word in as_words(options(every)[key], value)]
    assert every.make_context("every", words).params == {
        "word": ("a", "b"),
        "on": (("happy", "x"),),
        "pair": ("p", 3),
        "verbose": 2,
        "home": Path("/x"),
        "required": "r",
    }
    for wrong, message in (
        ("word = 'a'", "expected a list, as"),
        ("on = ['a', 'b']", "expected a list, as"),
        ("pair = ['a']", "expected a list of 2 values"),
        ("pair = ['a', 'b']", "expected a list of 2 values"),
        ("verbose = true", "expected a whole number"),
    ):
        path.write_text(f"[every]\n{wrong}\n")
        assert message in one_line(fer_edge("every"))


AWKWARD = st.text(st.sampled_from("a0 \"'\\\n\t\r\0\x7f\x85\u2028é😀[]{}=#.,"), max_size=8)
VALUES = st.booleans() | st.integers() | st.floats(allow_nan=False) | AWKWARD


@given(st.recursive(VALUES, lambda inner: st.lists(inner, max_size=3), max_leaves=6))
def test_values_are_written_as_toml_reads_them(value: Any) -> None:
    assert tomllib.loads(f"x = {as_toml(value)}")["x"] == value


def test_config_prints_the_file_and_the_effective_values(tmp_path: Path) -> None:
    path = written(tmp_path / "x", "[run]\nthreads = 1\n[models.list]\njson = true\n")
    assert fer_edge("--config", path, "config").stdout == f"{path}: [run], [models.list]\n"
    output = fer_edge("--config", path, "config", "run").stdout
    values = tomllib.loads(output)["run"]
    assert values["threads"] == 1
    assert values["detect-every"] == 4
    assert values["quiet"] is False
    assert "detect-every = 4  # default" in output
    assert tomllib.loads(fer_edge("config", "models", "list").stdout) == {"models": {"list": {"json": False}}}
    assert "no configuration file" in fer_edge("config", "run").stdout or config.places()[2].is_file()


def test_config_checks_every_table(tmp_path: Path) -> None:
    path = written(tmp_path, "[run]\nthreads = 1\n[bench.latency]\nruns = 1\n")
    assert "[bench.latency] runs = 1" in one_line(fer_edge("config"))
    path.write_text("[predict]\nthread = 1\n")
    assert "did you mean threads?" in one_line(fer_edge("config"))
    assert "'dance' is not a command" in one_line(fer_edge("config", "dance"))
    assert "is a group of commands; name one of them: list" in one_line(fer_edge("config", "models"))


def test_the_example_has_every_option_and_sets_nothing(tmp_path: Path) -> None:
    text = fer_edge("config", "--example").stdout
    path = written(tmp_path, text)
    tables = tomllib.loads(text)
    assert tables["run"] == {}
    assert set(tables) == {"run", "predict", "cameras", "models", "service"}
    assert fer_edge("config").exit_code == 0
    commented = text.split("[run]")[1].split("[predict]")[0].splitlines()
    keys = [line[1:].split(" = ")[0] for line in commented if line.startswith("#") and line[1] != " "]
    run = main.get_command(click.Context(main), "run")
    assert run is not None
    assert keys == list(options(run))
    path.write_text(
        "\n".join(line[1:] if line.startswith("#") and line[1] != " " else line for line in text.split("\n"))
    )
    tomllib.loads(path.read_text())
    assert "[bench.latency]" in fer_edge("config", "--example", "bench", "latency").stdout


def sampled(*words: str) -> list[tuple[str, str, Any]]:
    """Table, key and value of each line of an example."""
    found, table = [], ""
    for line in fer_edge("config", "--example", *words).stdout.splitlines():
        if line.startswith("["):
            table = line
        elif line.startswith("#") and not line.startswith("# "):
            found += [(table, key, value) for key, value in tomllib.loads(line[1:]).items()]
    return found


@pytest.mark.parametrize("words", [(), ("bench", "latency"), ("bench", "robustness"), ("train",), ("convert",)])
def test_each_line_of_the_example_is_taken_by_its_option(tmp_path: Path, words: tuple[str, ...]) -> None:
    lines = sampled(*words)
    assert len(lines) > 4
    for table, key, value in lines:
        names = table[1:-1].split(".")
        assert settings(written(tmp_path, f"{table}\n{key} = {as_toml(value)}\n"), main, names), (table, key)


def test_the_examples_values_are_some_that_one_might_want() -> None:
    """Of what has no built-in value; none is left empty, and a token is nobody else's."""
    values = {key: value for _, key, value in sampled()}
    bare = {
        key
        for name in ("run", "predict", "cameras")
        for key, option in options(cast(click.Command, main.get_command(click.Context(main), name))).items()
        if default(option) is None
    }
    assert not [key for key in values if values[key] in ("", [], 1) and key in bare]
    assert (values["width"], values["height"], values["latency-budget"]) == (640, 480, 4)
    assert len(values["web-token"]) >= 32 and values["web-token"] != dict(line[1:] for line in sampled())["web-token"]


# --- a command of two words ------------------------------------------------------------------------------------


def test_a_command_of_two_words_has_a_table_within_the_first_words(tmp_path: Path) -> None:
    text = '[convert]\nseed = 5\n[convert.face-detector]\nseed = 7\ndata = "x.csv"\n'
    path = written(tmp_path, text)
    assert f"{path.name}: [convert], [convert.face-detector]" in fer_edge("config").stdout
    shown = {words: fer_edge("config", *words).stdout for words in (("convert",), ("convert", "face-detector"))}
    assert [f"seed = {seed}  # {path.name}" in text for seed, text in zip((5, 7), shown.values(), strict=True)] == [
        True
    ] * 2
    assert "[convert.face-detector]" in shown["convert", "face-detector"]
    written(tmp_path, "[convert.face-detector]\nsed = 7\n")
    assert (
        "[convert.face-detector] sed is not an option of 'fer-edge convert face-detector'; did you mean seed"
        in one_line(fer_edge("convert", "face-detector", "none.whl"))
    )


@pytest.mark.tensorflow
def test_a_command_of_two_words_takes_its_values_from_the_file(tmp_path: Path) -> None:
    written(tmp_path, '[convert.face-detector]\ndata = "x.csv"\n')
    done = fer_edge("convert", "face-detector", "none.whl")
    assert one_line(done).startswith("fer-edge: x.csv: no such file or folder")


def test_a_command_of_two_words_has_variables_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_EDGE_CONVERT_FACE_DETECTOR_SEED", "9")
    assert "seed = 9  # FER_EDGE_CONVERT_FACE_DETECTOR_SEED" in fer_edge("config", "convert", "face-detector").stdout
    monkeypatch.setenv("FER_EDGE_CONVERT_FACE_DETECTOR_SEED", "many")
    assert one_line(fer_edge("convert", "face-detector", "x.whl", "--data", "y.csv")).startswith(
        "fer-edge: FER_EDGE_CONVERT_FACE_DETECTOR_SEED: 'many' is not"
    )


def test_the_second_word_is_listed_and_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert re.search(r"^  convert face-detector +Quantize", fer_edge("--help").stdout, re.MULTILINE)
    assert (
        "Usage: fer-edge convert face-detector [OPTIONS] WHEEL|ONNX"
        in CliRunner().invoke(main, ["convert", "face-detector", "--help"], prog_name="fer-edge").stdout
    )

    def completed(words: str) -> list[str]:
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - (not words.endswith(" "))))
        monkeypatch.setenv("_FER_EDGE_COMPLETE", "bash_complete")
        return CliRunner().invoke(main, [], prog_name="fer-edge").stdout.split()

    assert completed("fer-edge conv") == ["plain,convert"]
    assert completed("fer-edge convert face") == ["plain,face-detector"]
    assert completed("fer-edge convert face-detector --min-i") == ["plain,--min-iou"]
