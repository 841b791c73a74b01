import os
import resource
import signal
import stat
import subprocess
import sys
import threading

import pytest

from corr2d.files import replace_file, stat_regular


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_new_file_holds_what_was_written(tmp_path):
    with replace_file(tmp_path / "new") as file:
        file.write(b"all of it")
    assert (tmp_path / "new").read_bytes() == b"all of it"
    assert names(tmp_path) == ["new"]


def test_old_file_stands_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with replace_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("old", [None, b"old"])
def test_fault_leaves_the_old_file_and_nothing_else(tmp_path, fault, old):
    path = tmp_path / "file"
    if old is not None:
        path.write_bytes(old)
    with pytest.raises(fault), replace_file(path) as file:  # noqa: PT012 (the block is the point)
        file.write(b"half")
        raise fault
    assert names(tmp_path) == ([] if old is None else ["file"])
    assert old is None or path.read_bytes() == old


def test_full_disk_leaves_the_old_file_and_names_it(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # Python ignores SIGXFSZ: write() fails
    try:
        with pytest.raises(OSError, match=r"File too large: '.*file'") as caught, replace_file(path) as file:
            file.write(bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    code = (
        "import os, signal, sys\n"
        "from corr2d.files import replace_file\n"
        "with replace_file(sys.argv[1]) as file:\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, path], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("exists", [True, False])
def test_link_stays_a_link(tmp_path, exists):
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "file", tmp_path / "link"
    if exists:
        target.write_bytes(b"old")
    link.symlink_to("elsewhere/file")
    with replace_file(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert names(tmp_path / "elsewhere") == ["file"]


def test_circle_of_links_is_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"), replace_file(tmp_path / "a"):
        pass
    assert names(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_new_file_follows_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        with replace_file(tmp_path / "new"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664, 0o755])
def test_existing_file_keeps_its_permissions(tmp_path, mode):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(mode)
    with replace_file(path) as file:
        file.write(b"new")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_name_of_the_greatest_length(tmp_path):
    path = tmp_path / ("n" * 255)
    with replace_file(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


def test_folder_that_does_not_exist_is_blamed_on_the_name_given(tmp_path):
    path = tmp_path / "nowhere" / "file"
    with pytest.raises(FileNotFoundError) as caught, replace_file(path):
        pass
    assert caught.value.filename == str(path)


def test_folder_in_the_place_of_the_file_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match="folder"), replace_file(tmp_path / "folder"):
        pass
    assert names(tmp_path) == ["folder"]


def test_device_is_not_replaced():
    with (
        pytest.raises(ValueError, match="'/dev/null' is a device, a pipe or a socket"),
        replace_file("/dev/null"),
    ):
        pass
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_pipe_is_refused_without_waiting_for_its_other_end(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="is a device, a pipe or a socket"):
        stat_regular(tmp_path / "pipe")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything: run the tests as an ordinary user")
@pytest.mark.parametrize("closed", ["file", "folder"])
def test_read_only_is_respected(tmp_path, closed):
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "file"
    path.write_bytes(b"old")
    (path if closed == "file" else folder).chmod(0o555)
    try:
        with pytest.raises(PermissionError) as caught, replace_file(path):
            pass
    finally:
        folder.chmod(0o755)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert names(folder) == ["file"]


def test_sixteen_writers_leave_one_whole_file(tmp_path):
    path = tmp_path / "file"
    contents = [bytes([i]) * 100_000 for i in range(16)]

    def store(content):
        with replace_file(path) as file:
            file.write(content)

    threads = [threading.Thread(target=store, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ['it\'s "quoted"', "two\nlines", "<script>", os.fsdecode(b"\xff\xfe")])
def test_odd_names(tmp_path, name):
    with replace_file(tmp_path / name) as file:
        file.write(b"new")
    assert (tmp_path / name).read_bytes() == b"new"
    os.remove(tmp_path / name)
    os.mkfifo(tmp_path / name)
    with pytest.raises(ValueError, match="device") as caught:
        stat_regular(tmp_path / name)
    str(caught.value).encode("utf-8")  # could be printed
    assert "\n" not in str(caught.value)
