import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern

from scaler.rounding import FloatArray
from scaler.samplers.acquisition import Scale, log_expected_improvement
from scaler.samplers.gaussian_process import GaussianProcess, Hyperparameters, fit, negative_log_density

_PRIOR = Hyperparameters(lengths=np.array([0.5, 2.0, 7.0]), signal=0.8, linear=0.6, noise=0.05)


@pytest.fixture
def data() -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 3))
    return x, np.sin(2 * x[:, 0]) + x[:, 1], rng.uniform(0, 0.3, 30), rng.normal(size=(50, 3))


def test_the_posterior_is_scikit_learns(data: tuple[FloatArray, ...]) -> None:
    x, y, noise, new = data
    kernel = ConstantKernel(0.8) * Matern([0.5, 2.0, 7.0], nu=2.5) + ConstantKernel(0.2) * DotProduct(1e-5)
    peer = GaussianProcessRegressor(kernel, alpha=0.05 + noise + 1e-6, optimizer=None).fit(x, y)
    expected_mean, expected_deviation = peer.predict(new, return_std=True)
    process = GaussianProcess(_PRIOR, x, y, noise)
    mean, deviation = process.predict(new)
    assert mean == pytest.approx(expected_mean, abs=1e-9)
    assert deviation == pytest.approx(expected_deviation, abs=1e-9)
    assert process.mean(new) == pytest.approx(expected_mean, abs=1e-9)


def test_believing_moves_no_mean_and_leaves_less_doubt(data: tuple[FloatArray, ...]) -> None:
    x, y, noise, new = data
    process = GaussianProcess(_PRIOR, x, y, noise)
    believing = process.believing(new[:10])
    mean, before = process.predict(new)
    same, after = believing.predict(new)
    assert same == pytest.approx(mean, abs=1e-4)
    assert (after <= before + 1e-9).all()
    assert (after[:10] < 0.6 * before[:10]).all()
    assert process.believing(new[:0]) is process


def test_the_gradient_is_the_densitys(data: tuple[FloatArray, ...]) -> None:
    x, y, noise, _ = data
    logs = np.random.default_rng(1).normal(size=6)
    expected = approx_fprime(logs, lambda point: negative_log_density(point, x, y, noise)[0], 1e-6)
    assert negative_log_density(logs, x, y, noise)[1] == pytest.approx(expected, abs=1e-4)


def test_the_fit_finds_noise_and_what_matters() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(200, 3))
    clean = np.sin(2 * x[:, 0])
    y = clean + 0.3 * rng.normal(size=200)
    found = fit(x, y)
    assert found.noise == pytest.approx(0.09, rel=0.4)
    assert found.lengths[0] < 0.5 * found.lengths[1:].min()
    assert np.std(GaussianProcess(found, x, y).mean(x) - clean) < 0.15


def test_noisy_observations_count_less() -> None:
    x = np.array([[0.0], [0.0]])
    prior = Hyperparameters(lengths=np.ones(1), signal=1.0, linear=0.1, noise=0.01)
    mean = GaussianProcess(prior, x, np.array([1.0, -1.0]), np.array([0.0, 1.0])).mean(x)
    assert mean[0] > 0.9


@given(st.floats(-3000, 30), st.floats(0.01, 5))
def test_log_expected_improvement(z: float, deviation: float) -> None:
    mp.dps = 60
    exact = mp.log(deviation * (mp.npdf(z) + mp.mpf(z) * mp.erfc(-mp.mpf(z) / mp.sqrt(2)) / 2))
    found = log_expected_improvement(np.array([1 + z * deviation]), np.array([deviation]), 1.0)[0]
    assert found == pytest.approx(float(exact), rel=1e-5, abs=1e-5)


def test_a_scale_keeps_the_good_and_draws_the_bad_near() -> None:
    values = np.array([0.10, 0.45, 0.88, 0.89, 0.90, 0.91, 0.92])
    scaled, noise = Scale.of(values).apply(values, np.full(7, 1e-4))
    assert scaled.mean() == pytest.approx(0)
    assert scaled.std() == pytest.approx(1)
    assert (np.diff(scaled) > 0).all()
    assert scaled[6] - scaled[5] == pytest.approx(scaled[5] - scaled[4])
    assert scaled[4] - scaled[0] < 5 * (scaled[6] - scaled[4])
    assert noise[6] == noise[4] > 100 * noise[0] > 0
    assert np.isfinite(Scale.of(np.ones(4)).apply(np.ones(4), np.zeros(4))[0]).all()
