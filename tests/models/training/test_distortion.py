"""SI-SDR in training is what the evaluation measures."""

import numpy as np
import pytest
import torch

from models.evaluation import fidelity
from models.training.distortion import si_sdr_db

RNG = np.random.default_rng(0)
WANTED, NOISE = RNG.standard_normal((2, 16_000)).astype(np.float32)


@pytest.mark.parametrize("made", [WANTED + 0.1 * NOISE, 0.01 * WANTED + 0.1 * NOISE, NOISE, np.zeros_like(NOISE)])
def test_the_ratio_is_the_one_of_the_evaluation(made):
    found = si_sdr_db(torch.from_numpy(made), torch.from_numpy(WANTED))
    assert found == pytest.approx(fidelity.si_sdr_db(WANTED, made), abs=2e-3)


def test_the_level_makes_no_difference():
    made, wanted = torch.from_numpy(WANTED + NOISE), torch.from_numpy(WANTED)
    assert si_sdr_db(0.1 * made, wanted) == pytest.approx(si_sdr_db(made, wanted), abs=1e-3)
