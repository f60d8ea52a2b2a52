"""Three-valued switches: on, off, or a default that depends on the data."""

from collections.abc import Sequence

SWITCHES = {"--data.normalize": "True", "--data.no-normalize": "False"}
"""Values of options that may be given without one, like two-valued switches."""

VALUES = ("true", "false", "none")


def with_values(arguments: Sequence[str]) -> list[str]:
    """Adds the values that tyro expects to switches that are given without one.

    >>> with_values(["npz:a.npz", "--data.normalize", "--seed", "3"])
    ['npz:a.npz', '--data.normalize', 'True', '--seed', '3']
    >>> with_values(["--data.no-normalize", "npz:a.npz"]), with_values(["--data.normalize", "false"])
    (['--data.normalize', 'False', 'npz:a.npz'], ['--data.normalize', 'False'])
    """
    written: list[str] = []
    for argument in arguments:
        if argument in SWITCHES:
            written += ["--data.normalize", SWITCHES[argument]]
        elif written[-2:-1] == ["--data.normalize"] and argument.lower() in VALUES:
            written[-1] = argument.capitalize()
        else:
            written.append(argument)
    return written
