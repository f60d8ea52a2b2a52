import csv

import pytest

from experiments.lib.tables import Table, write_tables


def table():
    made = Table("Heads & 95 % intervals", ("head", "accuracy"))
    made.add("scalar_mix", "0.9 ± 0.1")
    return made


def test_every_form_holds_every_value(tmp_path):
    write_tables([table(), table()], tmp_path / "made")
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".csv", ".md", ".tex", ".txt"]
    assert (tmp_path / "made.md").read_text().count("| scalar_mix | 0.9 ± 0.1 |") == 2
    assert (tmp_path / "made.txt").read_text().count("scalar_mix  0.9 ± 0.1") == 2
    assert ["scalar_mix", "0.9 ± 0.1"] in list(csv.reader((tmp_path / "made.csv").read_text().splitlines()))


def test_latex_is_escaped():
    assert r"scalar\_mix & 0.9 $\pm$ 0.1 \\" in table().as_latex()
    made = Table("Differences", ("LAYA minus it", "widths"))
    made.add("-0.01 [-0.02, +0.03]", "64-128")
    assert r"$-$0.01 [$-$0.02, +0.03] & 64-128 \\" in made.as_latex()
    assert r"\caption{Heads \& 95 \% intervals}" in table().as_latex()


def test_a_row_needs_a_value_per_column():
    with pytest.raises(ValueError, match="row has 1 values, expected 2"):
        table().add("laya")
