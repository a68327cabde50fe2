"""The NEON code, cross-compiled and run by an emulator; and the same comparison program on this machine."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NATIVE = HERE.parents[1] / "backends" / "cpu" / "native"
CROSS, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
NEON = "-march=armv8.2-a+dotprod+fp16"


def build(compiler: str, folder: Path, extra: list[str], sets: dict[str, list[str]]) -> Path:
    options = ["-O2", "-std=gnu11", "-Wno-psabi", "-pthread", f"-I{NATIVE}"]
    objects = []
    for name, flags in sets.items():
        objects.append(folder / f"{name}.o")
        wanted = [
            compiler,
            *options,
            *flags,
            f"-DISA={name}",
            f"-DISA_{name}",
            "-c",
            NATIVE / "pass.c",
            "-o",
            objects[-1],
        ]
        subprocess.run(wanted, check=True, capture_output=True)
    program = folder / "compare"
    sources = [HERE / "compare.c", NATIVE / "rwkv7.c", NATIVE / "pack.c"]
    subprocess.run(
        [compiler, *options, *extra, *sources, *objects, "-o", program, "-lm"], check=True, capture_output=True
    )
    return program


def compared(command: list[str | Path]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.skipif(not (shutil.which(CROSS) and shutil.which(EMULATOR)),
                    reason=f"NEON NOT CHECKED: needs {CROSS} and {EMULATOR}")  # fmt: skip
def test_neon_under_emulation(tmp_path):
    program = build(CROSS, tmp_path, ["-static", "-DWITH_NEON"], {"baseline": [], "neon": [NEON]})
    out = compared([EMULATOR, "-cpu", "max", program])
    assert all(f"neon {precision}:" in out for precision in ("fp32", "int8", "int4"))


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64") or not shutil.which("cc"), reason="no compiler")
def test_the_comparison_program_here(tmp_path):
    avx2 = ["-mavx2", "-mfma", "-mf16c"]
    if platform.machine() == "x86_64":
        sets = {"baseline": [], "avx2": avx2, "avxvnni": [*avx2, "-mavxvnni"],
                "avx512": [*avx2, "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni"]}  # fmt: skip
        out = compared([build("cc", tmp_path, ["-DWITH_X86"], sets)])
    else:
        out = compared([build("cc", tmp_path, ["-DWITH_NEON"], {"baseline": [], "neon": [NEON]})])
    assert "baseline int4: relative difference 0.0e+00 ok" in out
