import re

from experiments import digits


def test_it_trains_both_heads_and_says_how_faithful_attention_is(capsys):
    digits.main(steps=200)
    printed = capsys.readouterr().out
    accuracies = {
        name: float(value) for name, value in re.findall(r"^  (last layer|LAYA) +(0\.\d+) ±", printed, re.M)
    }
    assert accuracies.keys() == {"last layer", "LAYA"}
    assert min(accuracies.values()) > 0.9
    assert (
        len(re.findall(r"seed \d  \d+% without its layer of most attention, \d+% without another", printed))
        == 3
    )


def test_the_split_uses_every_digit_once():
    data, test = digits.load()
    assert len(data.labels) + len(test.labels) == 1797
    assert data.images.min() == 0
    assert data.images.max() == 1
