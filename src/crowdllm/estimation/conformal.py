"""An interval for a problem that no human has answered, calibrated on the problems that humans have answered.

For every problem with human responses the crowd is asked without having seen any response to it, and its error
|human estimate - crowd| is noted. For a new problem drawn like these, the crowd's error is as likely to stand at any
rank among them: the ceil((1 - alpha)(T + 1))-th smallest of T errors bounds it with probability 1 - alpha (split
conformal; Vovk et al. 2005), whatever the distribution of errors. With fewer than 1/alpha - 1 problems (19 at 95 %)
no finite interval can be promised, and none is given.

The errors are measured against a handful of humans, so they hold the humans' sampling noise as well, which would make
the interval too wide for the *population's* answer. Noise with variance v_t adds to the crowd's own tau^2:
E r_t^2 = tau^2 + v_t, so tau^2 = mean(r_t^2 - v_t), but at least a tenth of mean(r_t^2). Two corrections take it out:

- |r_t| sqrt(tau^2 / (tau^2 + v_t)), exact for normal errors, too small in the tail where the crowd is now and then
  far off;
- sqrt(r_t^2 - v_t), but at least 0.3 |r_t|: too large for normal errors, safe for such a crowd.

The mean of both is taken (for medians, whose noise is known only roughly, the second alone). Where many humans answered
there is nothing to correct and the guarantee is exact. With fewer than 10 problems tau^2 would be a guess, and no
interval is given at any level.

Shapes: T calibration problems (or cells: problem and option), G groups of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from crowdllm.estimation.small_sample import check_level
from crowdllm.responses.protocol import Array

LEAST_PART = 0.1
LEAST_PROBLEMS = 10


@dataclass(frozen=True)
class Calibration:
    """Errors of the crowd on problems with human responses.

    error_T: the sizes of the errors without sampling noise, in units of scale, rising. spread: tau, the crowd's own
    error (root mean square, in units of scale).
    """

    error_T: Array
    spread: float

    def half_width(self, level: float) -> float:
        """Half of the interval in units of scale; infinite where there are too few problems for this level."""
        check_level(level)
        count = len(self.error_T)
        rank = int(np.ceil(level * (count + 1) - 1e-9))
        return float(self.error_T[rank - 1]) if rank <= count else float("inf")


def least_problems(level: float) -> int:
    """How many problems with human responses a finite interval at this level needs."""
    check_level(level)
    return max(LEAST_PROBLEMS, int(np.ceil(level / (1 - level) - 1e-9)))


def calibrate(
    residual_T: ArrayLike,
    noise_T: ArrayLike,
    scale_T: ArrayLike | float = 1.0,
    smooth_T: ArrayLike | None = None,
    heavy: bool = False,
) -> Calibration:
    """From human estimate - crowd, and the variance of the human estimate, per problem; NaN residuals are left out.

    noise_T: unbiased over problems, though each may be far off (as 0 where a few people agree). smooth_T: the same,
    near the truth for each problem, for scaling its error; noise_T when None. scale_T: what the error is expected to
    be proportional to, such as sqrt(p (1 - p)) for shares. heavy: take the second correction alone.
    """
    residual_T, noise_T = np.asarray(residual_T, dtype=float), np.asarray(noise_T, dtype=float)
    smooth_T = noise_T if smooth_T is None else np.asarray(smooth_T, dtype=float)
    scale_T = np.broadcast_to(np.asarray(scale_T, dtype=float), residual_T.shape)
    known = ~(np.isnan(residual_T) | np.isnan(noise_T) | np.isnan(smooth_T))
    unit_T, square_T = residual_T[known] / scale_T[known], scale_T[known] ** 2
    if len(unit_T) < LEAST_PROBLEMS:
        return Calibration(np.zeros(0), np.nan)
    own, part_T = crowd_variance(unit_T, noise_T[known] / square_T), smooth_T[known] / square_T
    size_T = np.abs(unit_T)
    scaled_T = size_T * np.sqrt(np.divide(own, own + part_T, out=np.ones(len(size_T)), where=own + part_T > 0))
    cut_T = np.sqrt(np.maximum(size_T**2 - part_T, LEAST_PART * size_T**2))
    return Calibration(np.sort(cut_T if heavy else (scaled_T + cut_T) / 2), float(np.sqrt(own)))


def crowd_variance(residual_T: Array, noise_T: Array) -> float:
    """tau^2: the mean squared error of the crowd without the humans' sampling noise."""
    square = float(np.mean(residual_T**2))
    return max(square - float(np.mean(noise_T)), LEAST_PART * square)
