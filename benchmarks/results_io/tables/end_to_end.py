"""Tables of whole runs: processes from start to exit, frames from source to sink, the live page, other packages."""

from __future__ import annotations

from typing import Any

from fer_edge.benchmarks.results_io.tables.markdown import machine, markdown, measured_on, percent, ratio


def start(result: dict[str, Any]) -> str:
    """Milliseconds of whole processes, from start to exit."""
    head = f"Milliseconds from start to exit, {result['runs']} processes each; {machine(result)}"
    rows = [
        (
            row["model"],
            *(f"{row['ms'][name]:.0f}" for name in ("p50", "p90", "p99")),
            ratio(row),
            f"{row['rate']:.0f}" if "rate" in row else "–",
            f"{row['peak_mib']:.0f} MiB",
        )
        for row in result["rows"]
    ]
    columns = ("process", "p50 ms", "p90 ms", "p99 ms", "ratio to imports", "frames/s", "peak RSS")
    return f"{head}\n\n{markdown(columns, rows)}"


def archive(result: dict[str, Any]) -> str:
    """Pictures per second of an archive, and memory, by the number of worker processes."""
    width, height = result["size"]
    head = (
        f"{result['pictures']} pictures of {width}x{height}, {result['model']}, {result['rounds']} rounds in turns; "
        f"{machine(result)}"
    )
    figures = ("worker_rss", "worker_pss", "main_rss", "all_pss")
    rows = [
        (
            str(row["workers"]),
            f"{row['rate']['p50']:.1f}",
            ratio(row),
            *(f"{row['memory_mib'][name]:.0f} MiB" for name in figures),
        )
        for row in result["rows"]
    ]
    columns = ("workers", "pictures/s", "ratio", "RSS of a worker", "PSS of a worker", "RSS of the main process")
    return f"{head}\n\n{markdown((*columns, 'PSS of all'), rows)}"


def evaluation(result: dict[str, Any]) -> str:
    """Faces per second of `evaluate` by the number of threads."""
    head = f"{result['faces']} faces, {result['rounds']} rounds in turns, {result['runtime']}; {machine(result)}"
    rows = [(row["model"], str(row["workers"]), f"{row['rate']['p50']:.1f}", ratio(row)) for row in result["rows"]]
    return f"{head}\n\n{markdown(('model', 'threads', 'faces/s', 'ratio'), rows)}"


def cluster(result: dict[str, Any]) -> str:
    """Pictures per second of an archive on Dask workers, against local worker processes, and what it takes."""
    width, height = result["size"]
    versions = ", ".join(f"{name} {version}" for name, version in result["dask"].items())
    head = (
        f"{result['pictures']} pictures of {width}x{height} and {result['picture_bytes'] / 1000:.0f} kB, "
        f"{result['model']}, {result['rounds']} rounds in turns; {versions}; {machine(result)}"
    )
    names = {"local": "local processes", "dask": "Dask, shared folder", "sent": "Dask, --send-pictures"}
    rows = [
        (
            f"{row['workers']} {names[row['mode']]}",
            f"{row['rate']['p50']:.1f}",
            ratio(row),
            f"{row['network_bytes']['p50'] / 1000:.1f} kB",
            *(f"{row['memory_mib'][name]:.0f} MiB" if row["memory_mib"] else "–" for name in ("scheduler", "worker")),
        )
        for row in result["rows"]
    ]
    columns = (
        "workers",
        "pictures/s",
        "ratio to local",
        "network, a picture",
        "scheduler, peak RSS",
        "worker, peak RSS",
    )
    return f"{head}\n\n{markdown(columns, rows)}"


def pipeline(result: dict[str, Any]) -> str:
    """Milliseconds of each stage of a frame, and the CPU time, memory and frame rate of all of them."""
    first = result["rows"][0]
    head = f"Mean milliseconds per frame over {result['frames']} frames, {_mode(first)}; {machine(result)}"
    stages = ("capture", "detect", "crop", "classify", "draw", "sink")
    rows = [
        (
            _clip(row),
            f"{row['faces_found']:.1f}",
            str(row["threads"]),
            *(f"{row['stages'][name]['mean']:.2f}" for name in stages),
            *(f"{row['stages'][name]['p90']:.2f}" for name in ("detect", "classify")),
            f"{row['models_per_face']:.2f}",
            percent(row["outside_models"], 0),
            f"{1000 * row['cpu_seconds']:.1f}",
            f"{row['rate']:.0f}",
            f"{row['camera']['dropped']} of {row['camera']['processed'] + row['camera']['dropped']}",
            f"{row['peak_mib']:.0f} MiB",
        )
        for row in result["rows"]
    ]
    columns = (
        "clip",
        "faces found",
        "threads",
        *stages,
        "detect p90",
        "classify p90",
        "models per face",
        "outside models",
        "CPU ms per frame",
        "frames/s",
        f"dropped at {first['camera']['rate']:.0f} frames/s",
        "peak RSS",
    )
    return f"{head}\n\n{markdown(columns, rows)}"


def _mode(row: dict[str, Any]) -> str:
    """Which models run how often."""
    if row["early_exit"] and row["cache_threshold"]:
        return "early exit and score cache as in `fer-edge run`"
    models = "early exit" if row["early_exit"] else "all models"
    return f"{models}, {'score cache' if row['cache_threshold'] else 'every face in every frame'}"


def sustained(result: dict[str, Any]) -> str:
    """The first and the last window of runs of several minutes; empty where there was none."""
    rows = []
    for row in result["rows"]:
        if not row.get("sustained"):
            continue
        first, last = row["sustained"][0], row["sustained"][-1]
        memory, temperatures = row["resident_mib"], (first["celsius"], last["celsius"])
        rows.append(
            (
                _clip(row),
                str(row["threads"]),
                f"{last['seconds'] / 60:.1f}",
                f"{first['rate']:.0f} → {last['rate']:.0f}",
                *(f"{first['ms'][name]:.1f} → {last['ms'][name]:.1f}" for name in ("p50", "p99")),
                f"{memory['start']:.0f} → {memory['end']:.0f} MiB",
                "–" if None in temperatures else f"{temperatures[0]:.0f} → {temperatures[1]:.0f}",
                ", ".join(last["throttled"] or ()) or "–",
            )
        )
    if not rows:
        return ""
    head = f"First and last seconds of a run at full rate, milliseconds per frame; {machine(result)}"
    columns = ("clip", "threads", "minutes", "frames/s", "p50 ms", "p99 ms", "RSS", "°C", "throttled")
    return f"{head}\n\n{markdown(columns, rows)}"


def _clip(row: dict[str, Any]) -> str:
    return f"{row['width']}x{row['height']}, {row['faces']} {'face' if row['faces'] == 1 else 'faces'}"


def capture(result: dict[str, Any]) -> str:
    """CPU milliseconds of a camera's frames, from whole pictures and from those that are decoded as they are used."""
    frames, quality = result["frames"], result["quality"]
    head = f"CPU milliseconds per frame, {frames} frames each, JPEG quality {quality}; {machine(result)}"
    rows = [
        (
            f"{row['camera']}, {row['width']}x{row['height']}",
            row["scene"],
            *(f"{each:.2f}" for each in (*row["pixels_ms"], row["whole_ms"], row["as_used_ms"])),
            f"{row['ratio']:.2f} [{row['ratio_interval'][0]:.2f}, {row['ratio_interval'][1]:.2f}]",
        )
        for row in result["rows"]
    ]
    columns = ("camera", "scene", "pixels, whole", "pixels, as used", "all, whole", "all, as used", "ratio")
    return f"{head}\n\n{markdown(columns, rows)}"


def page(result: dict[str, Any]) -> str:
    """The live page's answers and pictures with several viewers, and their cost."""
    head = (
        f"Milliseconds, {result['seconds']:.0f} s each, "
        f"a clip at {result['rate']:.0f} frames/s, CPU as a share of one core; {machine(result)}"
    )
    rows = [
        (
            _viewers(row),
            *_quantiles(row, "state_ms", "p50", "p90", "p99"),
            *_quantiles(row, "picture_ms", "p50", "p90", "p99"),
            *_quantiles(row, "behind_ms", "p99"),
            percent(row["skipped"] / (row["skipped"] + row["pictures"]), 1) if row["pictures"] else "–",
            percent(row["server_cpu"], 0),
            percent(row["client_cpu"], 0),
            f"{row['frames_per_second']:.1f}",
            str(row["dropped"]),
        )
        for row in result["rows"]
    ]
    columns = (
        *("viewers", "state p50", "p90", "p99", "picture interval p50", "p90", "p99", "behind p99", "frames skipped"),
        *("server CPU", "viewers' CPU", "processed frames/s", "dropped"),
    )
    return f"{head}\n\n{markdown(columns, rows)}"


def _viewers(row: dict[str, Any]) -> str:
    number = row["viewers"]
    return f"{number} {row['client']}{'' if number == 1 else 's'}" if number else "none"


def _quantiles(row: dict[str, Any], name: str, *quantiles: str) -> tuple[str, ...]:
    """Quantiles of a row's times; dashes where it has none."""
    return tuple(f"{row[name][each]:.1f}" if name in row else "–" for each in quantiles)


def peers(result: dict[str, Any]) -> str:
    """Other packages and this one on the same frames and faces."""
    rows = [
        (
            row["name"],
            row["package"],
            percent(row["accuracy"]),
            *(f"{row['frame'][name]:.1f}" for name in ("mean", "p50", "p90", "p99")),
            ratio(row, 1),
            f"{row['classifier']['p50']:.2f}" if "classifier" in row else "–",
            f"{row['first_ms']:.0f}",
            f"{row['peak_mib']:.0f} MiB",
        )
        for row in result["rows"]
    ]
    frame = ("frame mean ms", "p50 ms", "p90 ms", "p99 ms", "mean / run's mean")
    columns = ("name", "package", "accuracy", *frame, "network p50 ms", "first result ms", "peak RSS")
    return f"Milliseconds on one core; {measured_on(result)}\n\n{markdown(columns, rows)}"
