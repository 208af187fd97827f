import pytest

import check_versions


@pytest.fixture
def repository(tmp_path):
    for name, module in check_versions.PACKAGES.items():
        folder = tmp_path / "packages" / name
        source = folder / "src" / module
        source.mkdir(parents=True)
        (source / "_version.py").write_text('__version__ = "1.2.3"\n')
        pin = "" if name == "aiopquic-core" else '"aiopquic-core==1.2.3"'
        (folder / "pyproject.toml").write_text(
            f'[build-system]\nrequires = []\n[project]\nname = "{name}"\nversion = "1.2.3"\ndependencies = [{pin}]\n'
        )
    for original, copies in check_versions.COPIES.items():
        for name in [original, *copies]:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("text")
    return tmp_path


def change(file, old, new):
    file.write_text(file.read_text().replace(old, new))


def test_passes(repository):
    assert check_versions.check(repository) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        (
            "packages/aiopquic-bench/pyproject.toml",
            "core==1.2.3",
            "core>=1.2.3",
            "requires aiopquic-core>=1.2.3",
        ),
        ("packages/aiopquic-core/src/aiopquic/_version.py", "1.2.3", "1.2.4", "__version__ is 1.2.4"),
        ("packages/aiopquic-core/LICENSE", "text", "other", "LICENSE differs"),
    ],
)
def test_fails(repository, file, old, new, says):
    change(repository / file, old, new)
    problems = check_versions.check(repository)
    assert len(problems) == 1
    assert says in problems[0]


def test_one_package_with_another_version_fails(repository):
    change(repository / "packages/aiopquic-core/pyproject.toml", "1.2.3", "1.2.4")
    assert any("different versions" in p for p in check_versions.check(repository))
