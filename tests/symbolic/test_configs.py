"""The formulas in docs/formulas/ are those of the configs."""

from __future__ import annotations

import pytest

from tests.symbolic import configs


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", configs.NAMES)
def test_the_formulas_of_a_config_are_up_to_date(name: str) -> None:
    """``python -m tests.symbolic.configs`` would change nothing."""
    assert configs.derived(name) == configs.place(name).read_text(encoding="utf-8")


def test_every_file_has_a_config() -> None:
    """The folder has a file for each of the configs and no other."""
    assert {path.stem for path in configs.FOLDER.glob("*")} == set(configs.NAMES)


def test_a_mixture_of_experts_holds_all_experts_and_runs_through_two() -> None:
    """The parameters are those of 8 experts a layer; the MACs of a token are those of 2, of attention and of logits."""
    attention = 512 * 512 + 2 * 512 * 128 + 512 * 512
    expert, router, logits = 3 * 512 * 1792, 8 * 512, 512 * 32000
    held = 8 * (attention + 8 * expert + router) + logits
    active = 8 * (attention + 2 * expert + router) + logits
    shown = configs.place("mixtral").read_text(encoding="utf-8")
    section = shown[shown.index("## linear") :].split("##")[1]
    assert f"| parameters | {held} |" in section
    assert f"| MACs | {active}·B·s |" in section
    prose = (configs.ROOT / "docs" / "formulas.md").read_text(encoding="utf-8")
    assert f"hold {held:,}." in prose
    assert f"{active:,} for one token" in prose
