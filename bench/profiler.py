"""A sampling profiler: `python -m bench.profiler OUT -m MODULE [ARGUMENTS]` runs a module and writes where it was.

For every few milliseconds of processor time (as often as the kernel's clock allows) SIGPROF comes; its handler notes
the stack of the main thread. On SIGUSR1 the samples so far are written and forgotten, so that one phase of a long run
can be looked at alone. Written are, with a number that counts the writings, `OUT-1.txt` (files, functions and lines by
own time, functions with what they call) and `OUT-1.folded` (stacks for a flame graph).

Time inside a C function is counted to the next Python code that runs, which is its caller or a call that follows.
"""

from __future__ import annotations

import runpy
import signal
import sys
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

INTERVAL_S = 0.001
SHOWN = 60

Place = tuple[CodeType, int]


class Sampler:
    """Counts stacks of the main thread by processor time."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._written = 0
        self._stacks: Counter[tuple[Place, ...]] = Counter()

    def start(self) -> None:
        """Begin; the process must have no other use for SIGPROF and SIGUSR1."""
        signal.signal(signal.SIGPROF, self._sample)
        signal.signal(signal.SIGUSR1, self._flush)
        for number in (signal.SIGPROF, signal.SIGUSR1):
            signal.siginterrupt(number, False)
        self._go_on()

    def stop(self) -> None:
        """End, and write what has not been written yet."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        if self._stacks:
            self._write()

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        stack: list[Place] = []
        while frame is not None:
            stack.append((frame.f_code, frame.f_lineno))
            frame = frame.f_back
        self._stacks[tuple(stack)] += 1

    def _flush(self, _number: int, _frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        self._write()
        self._go_on()

    def _go_on(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)

    def _write(self) -> None:
        stacks, self._stacks = self._stacks, Counter()
        total = sum(stacks.values())
        own: Counter[str] = Counter()
        whole: Counter[str] = Counter()
        files: Counter[str] = Counter()
        lines: Counter[str] = Counter()
        folded: Counter[str] = Counter()
        for stack, count in stacks.items():
            if not stack:
                continue
            names = [_name(code) for code, _ in stack]
            own[names[0]] += count
            files[_short(stack[0][0].co_filename)] += count
            lines[f"{_short(stack[0][0].co_filename)}:{stack[0][1]} {stack[0][0].co_qualname}"] += count
            whole.update(dict.fromkeys(names, count))
            folded[";".join(reversed(names))] += count
        text = [f"{total} samples", ""]
        tables = {
            "files, own time": files,
            "functions, own time": own,
            "functions with what they call": whole,
            "lines, own time": lines,
        }
        for title, counter in tables.items():
            text.append(f"-- {title}")
            text += [f"{count / max(total, 1):7.1%}  {name}" for name, count in counter.most_common(SHOWN)]
            text.append("")
        self._written += 1
        name = f"{self._out.name}-{self._written}"
        self._out.with_name(f"{name}.folded").write_text("".join(f"{at} {n}\n" for at, n in folded.most_common()))
        draft = self._out.with_name(f"{name}.new")
        draft.write_text("\n".join(text))
        draft.replace(self._out.with_name(f"{name}.txt"))


def _short(path: str) -> str:
    """The end of a path that tells what it is."""
    for mark in ("site-packages/", "/lib/python3"):
        if mark in path:
            return path.rpartition(mark)[2]
    return "/".join(Path(path).parts[-3:])


def _name(code: CodeType) -> str:
    return f"{code.co_qualname} ({_short(code.co_filename)}:{code.co_firstlineno})"


def main() -> None:
    """Run a module as `python -m` would, under the sampler."""
    out, flag, module, *arguments = sys.argv[1:]
    if flag != "-m":
        sys.exit("usage: python -m bench.profiler OUT -m MODULE [ARGUMENTS]")
    sampler = Sampler(Path(out))
    sampler.start()
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        sampler.stop()


if __name__ == "__main__":
    main()
