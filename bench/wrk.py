"""A second opinion on the load generator, where `wrk` is installed: the same charges by a client that is not ours."""

from __future__ import annotations

import re
import shutil
import subprocess

from bench.http import CHARGES, MOST
from bench.rounds import Sample, Side
from bench.world import CHARGE, BenchError, Ledger, World

NAME = f"HTTP, {MOST} clients, spread, by wrk"
MARGIN_S = 30.0
SCRIPT = """
local number = 0
function request()
  number = number + 1
  local user = string.format("user-%05d", math.random(0, ACCOUNTS - 1))
  local headers = {
    ["Authorization"] = "Bearer TOKEN",
    ["Content-Type"] = "application/json",
    ["Idempotency-Key"] = string.format("RUN-%08d", number),
  }
  return wrk.format("POST", "PATH", headers, (string.gsub('BODY', "{user}", user)))
end
function done(summary, latency)
  local refused = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format("counted %d %d %d %d\\n", summary.requests - refused, refused, summary.duration,
    latency:percentile(99)))
end
"""


def sides(world: World, ledger: Ledger, seconds: float) -> list[Side]:
    """Charges over all accounts by `wrk`; none where it is not installed."""
    program = shutil.which("wrk")
    return [] if program is None else [Side(NAME, lambda: _charge(program, world, ledger, seconds))]


def _charge(program: str, world: World, ledger: Ledger, seconds: float) -> Sample:
    words = {"ACCOUNTS": str(len(world.users)), "TOKEN": world.token("service"), "RUN": world.run_name()}
    words |= {"PATH": CHARGES, "BODY": CHARGE}
    text = re.sub("|".join(words), lambda match: words[match[0]], SCRIPT)
    script = world.data / "charges.lua"
    script.write_text(text)
    command = [program, "-t1", f"-c{MOST}", f"-d{max(1, round(seconds))}s", "-s", str(script), ledger.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + MARGIN_S, check=False)
    found = re.search(r"^counted (\d+) (\d+) (\d+) (\d+)$", done.stdout, re.MULTILINE)
    if done.returncode != 0 or found is None:
        raise BenchError(f"wrk failed:\n{done.stdout}{done.stderr}")
    good, refused, micros, p99_us = map(int, found.groups())
    if refused:
        raise BenchError(f"{refused} of wrk's requests were refused")
    return Sample(good / micros * 1e6, p99_ms=p99_us / 1000)
