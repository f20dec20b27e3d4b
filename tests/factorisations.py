"""Batched factorisations of a compiled program that nothing keeps apart.

On a CPU a batched LAPACK call waits for threads that another one may hold: two of them that do
not depend on each other can stop a program for ever.
"""

import re

__all__ = ["side_by_side"]

_LINE = re.compile(r"^\s*(?:ROOT )?%?([\w.-]+) = (.*)$")
_BATCHED = re.compile(r"\[\d+,\d+,\d+")  # of its first result or operand


def side_by_side(program: str) -> list[tuple[str, str]]:
    """Pairs of batched LAPACK calls in one computation of an HLO text, neither after the other."""
    pairs = []
    for computation in program.split("\n\n"):
        before: dict[str, set[str]] = {}
        calls = []
        for line in computation.splitlines():
            if not (found := _LINE.match(line)):
                continue
            name, text = found.groups()
            operands = {o for o in re.findall(r"%([\w.-]+)", text) if o in before}
            before[name] = operands.union(*(before[o] for o in operands))
            if 'custom_call_target="lapack_' in text and _BATCHED.search(text):
                pairs += [(other, name) for other in calls if other not in before[name]]
                calls.append(name)
    return pairs
