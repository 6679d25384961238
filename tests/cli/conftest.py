import sys

import pytest

from pocketzoo.cli import main as entry


@pytest.fixture
def pocketzoo(monkeypatch, capsys):
    """Runs the command line in this process; gives its exit code, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        for variable in ("POCKETZOO_VERBOSE", "POCKETZOO_OFFLINE"):  # which options set, for their process
            monkeypatch.setenv(variable, "")
        monkeypatch.setattr(sys, "argv", ["pocketzoo", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            entry.main()
        out, err = capsys.readouterr()
        return exit_.value.code or 0, out, err

    return run
