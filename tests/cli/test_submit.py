import pytest

from tests.cli.test_cli import run

ADDRESS = ("--address", "http://127.0.0.1:1")


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiny"], "Missing option '--address'"),
        (["tny", *ADDRESS], "study: 'tny' is no folder"),
        (["tiny", *ADDRESS], "nothing answers at http://127.0.0.1:1"),
        (["tiny", *ADDRESS, "--trails", "3"], "No such option '--trails'"),
        (["tiny", *ADDRESS, "--trials", "many"], "'many' is not a valid integer"),
        (["tiny", *ADDRESS, "--executor", "local"], "executor: submit runs on the cluster's Ray; leave --executor out"),
        (["tiny", *ADDRESS, "--storage", "postgresql://me:hunter2@db/x"], "storage: set SCALER_STORAGE on the cluster"),
        (["tiny", "--address", "ray://head:10001"], "is Ray Client's"),
    ],
)
def test_wrong_input_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    code, out, errors = run(capsys, "submit", *arguments)
    assert (code, out) == (2, "")
    assert message in errors
    assert len(errors.splitlines()) == 1
    assert "hunter2" not in errors
