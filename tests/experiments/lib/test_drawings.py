import numpy as np

from experiments.lib.drawings import class_profile, mean_profile
from experiments.lib.records import attention_statistics


def test_the_classes_of_several_seeds_are_weighed_by_their_examples():
    attention = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    labels = np.array([0, 0, 1])
    one, two = (
        {"attention": attention_statistics(attention, labels, np.array(predicted), 3)}
        for predicted in ([0, 1, 0], [0, 0, 0])
    )
    np.testing.assert_allclose(
        class_profile([one, two], "correct"), [[2 / 3, 1 / 3], [np.nan] * 2, [np.nan] * 2]
    )
    np.testing.assert_allclose(mean_profile([one, two])[0], [0.5, 0.5])
