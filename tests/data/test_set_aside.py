"""What an earlier run left is moved, and never replaced."""

from pathlib import Path

from internvl_seg.data.set_aside import set_aside


def test_files_and_folders_are_moved_and_replace_nothing(tmp_path: Path) -> None:
    for content, folder in (("first", "earlier_1"), ("second", "earlier_1_2")):
        (tmp_path / "labels").mkdir()
        for name in ("labels/a.png", "areas.csv"):
            (tmp_path / name).write_text(content)
        assert set_aside([tmp_path / "labels", tmp_path / "areas.csv"], "1") == folder
    for content, folder in (("first", "earlier_1"), ("second", "earlier_1_2")):
        assert (tmp_path / folder / "labels/a.png").read_text() == content
        assert (tmp_path / folder / "areas.csv").read_text() == content
    assert {path.name for path in tmp_path.iterdir()} == {"earlier_1", "earlier_1_2"}
