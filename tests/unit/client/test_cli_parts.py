"""What the command line decides before it speaks to anybody."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.client.cli.inputs import InputError, Item, expand, plan_items
from services.client.cli.params import Wishes
from services.client.cli.profile import Profile, ProfileError, resolve
from services.client.cli.resumes import slot_for
from services.client.cli.text import age_text, shown, size_text, time_text
from services.client.cli.wishes import WishError, options_of, refuse_the_impossible, seconds_in
from services.client.models import UploadRef
from services.common.formats import FORMATS
from services.common.options import Options, parse_options

# --- flags ---


def test_no_flags_are_no_options() -> None:
    assert options_of(Wishes(to="mp4")) == {}


def test_every_flag_becomes_the_option_it_stands_for() -> None:
    wishes = Wishes(
        to="mp4",
        max_height=720,
        max_width=1280,
        fps=25.0,
        quality="23",
        video="hevc",
        bit_depth=10,
        audio="aac",
        audio_bitrate=128,
        channels=2,
        normalize=True,
        start="0:05",
        end="1:02:03.5",
        subtitles="burn",
        metadata="strip",
    )
    options = options_of(wishes)
    assert options == {
        "video": "hevc",
        "quality": 23,
        "bit_depth": 10,
        "max_height": 720,
        "max_width": 1280,
        "fps": 25.0,
        "trim": {"start_s": 5.0, "end_s": 3723.5},
        "audio": {"codec": "aac", "bitrate_kbps": 128, "channels": 2, "normalize": True},
        "subtitles": "burn",
        "metadata": "strip",
    }
    refuse_the_impossible("mp4", options)
    assert options.keys() | {"two_pass"} == Options.model_fields.keys()


def test_a_size_to_aim_at_and_no_sound() -> None:
    options = options_of(Wishes(to="mp4", target_size="25MB", audio="none"))
    assert options == {"two_pass": {"target_size": "25MB"}, "audio": "none"}
    assert parse_options(options).two_pass is not None
    assert options_of(Wishes(to="mp4", video_bitrate=900)) == {"two_pass": {"bitrate_kbps": 900}}


def test_any_option_can_be_given_by_name() -> None:
    pairs = ["trim.end_s=5", "options.quality=best", "max_height=240", 'audio={"codec": "aac"}', "audio.channels=1"]
    assert options_of(Wishes(to="mp4", option=pairs)) == {
        "trim": {"end_s": 5},
        "quality": "best",
        "max_height": 240,
        "audio": {"codec": "aac", "channels": 1},
    }


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        (Wishes(to="mp4", start="soon"), "--start: write seconds"),
        (Wishes(to="mp4", option=["x"]), "write NAME=VALUE"),
        (Wishes(to="mp4", option=["quality=best", "quality.x=1"]), "quality has no x"),
        (Wishes(to="mp4", audio="none", channels=2), "--audio none"),
        (Wishes(to="mp4", quality="99"), "^--quality: "),
        (Wishes(to="mp4", video="copy", max_height=240), "^--max-height: "),
        (Wishes(to="mp3", audio="opus"), "^--audio: "),
        (Wishes(to="mp4", start="5", end="2"), "^--start/--end: "),
        (Wishes(to="mp4", option=["colour=red"]), "^--colour: "),
    ],
)
def test_flags_that_ask_for_what_can_not_be_are_told_by_their_names(wishes: Wishes, words: str) -> None:
    with pytest.raises(WishError, match=words):
        refuse_the_impossible(wishes.to, options_of(wishes))


def test_a_format_of_a_newer_service_is_left_to_it() -> None:
    refuse_the_impossible("format-of-tomorrow", {"anything": 1})
    assert "format-of-tomorrow" not in FORMATS


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1:30", 90), ("0:01:30.5", 90.5), (" 2.25 ", 2.25)])
def test_times_are_read(text: str, seconds: float) -> None:
    assert seconds_in(text, "--start") == seconds


# --- files ---


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a.avi", "b.avi", "c [1].mkv", "d1.mov", "sub/deep/e.avi", "sub/a.avi"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def test_patterns_stand_for_files_each_once_and_names_for_themselves(here: Path) -> None:
    assert expand(["b.avi", "*.avi", "./a.avi"]) == [Path("b.avi"), Path("a.avi")]
    assert expand(["c [1].mkv"]) == [Path("c [1].mkv")]
    assert expand(["**/e.avi", "-"]) == [Path("sub/deep/e.avi"), None]
    for pattern, words in (("x*.avi", "does not exist"), ("nope.avi", "does not exist"), ("sub", "is a directory")):
        with pytest.raises(InputError, match=words):
            expand([pattern])


def items(sources: list[Path | None], output: str | None = None, **more: object) -> list[Item]:
    given = {"name": None, "overwrite": False, **more}
    return plan_items(sources, output, "mp4", **given)  # type: ignore[arg-type]


def test_results_lie_beside_their_inputs_or_where_they_are_wanted(here: Path) -> None:
    avi = Path("sub/a.avi")
    assert items([avi]) == [Item(avi, Path("sub/a.mp4"), "a.avi")]
    assert items([avi], "out/")[0].target == Path("out/a.mp4")
    assert items([avi], "sub")[0].target == Path("sub/a.mp4")
    assert items([avi], "x.mov")[0].target == Path("x.mov")
    assert items([Path("a.avi"), Path("b.avi")], "out")[1].target == Path("out/b.mp4")
    assert items([avi], "-") == [Item(avi, None, "a.avi")]
    assert items([None]) == [Item(None, None, "stdin")]
    assert items([None], name="my film.avi", output="x/") == [Item(None, Path("x/my film.mp4"), "my film.avi")]


@pytest.mark.parametrize(
    ("name", "result"), [("a.b.avi", "a.b.mp4"), ("film", "film.mp4"), (".x", ".x.mp4"), ("x.", "x.mp4")]
)
def test_the_extension_is_replaced_and_nothing_else(tmp_path: Path, name: str, result: str) -> None:
    assert items([tmp_path / name])[0].target == tmp_path / result


def test_nothing_is_written_over_something(here: Path) -> None:
    Path("a.mp4").touch()
    Path("out").mkdir()
    for sources, output, words in (
        ([Path("a.avi")], None, "exists already; --overwrite"),
        ([Path("a.mp4")], None, "replaced by its own result"),
        ([Path("a.avi"), Path("sub/a.avi")], "out", "would both become"),
        ([Path("a.avi"), None], "-", "Only one file"),
    ):
        with pytest.raises(InputError, match=words):
            items(list(sources), output)
    assert items([Path("a.avi")], overwrite=True)[0].target == Path("a.mp4")
    with pytest.raises(InputError, match="replaced by its own result"):
        items([Path("a.mp4")], overwrite=True)


# --- profiles ---

CONFIG = """
default = "home"
[profiles.home]
url = "http://home:8080/"
api_key = "home key"
[profiles.work]
url = "https://work"
api_key_file = "{key}"
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "key").write_text("work key\n")
    config = tmp_path / "cvc.toml"
    config.write_text(CONFIG.format(key=tmp_path / "key"))
    return {"CVC_CONFIG": str(config), "HOME": str(tmp_path)}


def test_a_profile_gives_the_address_and_the_key(environment: dict[str, str]) -> None:
    assert resolve(environment, url=None, name=None) == Profile("http://home:8080", "home key")
    assert resolve(environment, url=None, name="work") == Profile("https://work", "work key")
    assert resolve({**environment, "CVC_PROFILE": "work"}, url=None, name=None).url == "https://work"


def test_a_key_is_not_sent_to_another_address_than_its_own(environment: dict[str, str]) -> None:
    assert resolve(environment, url="http://evil", name=None) == Profile("http://evil", None)
    assert resolve({**environment, "CVC_URL": "http://evil"}, url=None, name=None).api_key is None
    assert resolve(environment, url="http://home:8080", name=None).api_key == "home key"
    keyed = {**environment, "CVC_API_KEY": "given"}
    assert resolve(keyed, url="http://other", name=None) == Profile("http://other", "given")
    assert "home key" not in repr(resolve(environment, url=None, name=None))


def test_without_a_file_it_is_this_machine(tmp_path: Path) -> None:
    assert resolve({"HOME": str(tmp_path)}, url=None, name=None) == Profile()
    assert resolve({"HOME": str(tmp_path), "XDG_CONFIG_HOME": "/nowhere"}, url="http://x/", name=None).url == "http://x"


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("[profiles.a]\n", "b", "no profile b .*: a"),
        ("profiles = 1", "b", "there are: none"),
        ("= =", None, "cvc.toml: "),
        ("[profiles.a]\nkey = 'x'", "a", "has key, which is not known"),
        ("[profiles.a]\nurl = 1", "a", "is text"),
        ("[profiles.a]\napi_key_file = '/nowhere/key'", "a", "/nowhere/key"),
    ],
)
def test_a_configuration_that_is_wrong_is_told(
    environment: dict[str, str], text: str, name: str | None, words: str
) -> None:
    Path(environment["CVC_CONFIG"]).write_text(text)
    with pytest.raises(ProfileError, match=words):
        resolve(environment, url=None, name=name)


def test_a_profile_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="does not exist"):
        resolve({"HOME": str(tmp_path)}, url=None, name="home")


# --- unfinished uploads ---

REF = UploadRef(upload_id="u", key="uploads/1.avi", part_size=5)


def test_an_unfinished_upload_is_remembered_until_it_is_finished_or_the_file_changes(tmp_path: Path) -> None:
    film, state = tmp_path / "a.avi", tmp_path / "state"
    film.write_text("x")
    with slot_for(state, "http://x", film) as slot:
        assert slot.upload is None
        slot.save(REF)
    with slot_for(state, "http://other", film) as slot:
        assert slot.upload is None
    with slot_for(state, "http://x", film) as slot:
        assert slot.upload == REF
    film.write_text("longer")
    with slot_for(state, "http://x", film) as slot:
        assert slot.upload is None
        slot.save(REF)
        slot.clear()
    assert list(state.iterdir()) == []


def test_two_commands_do_not_go_on_with_the_same_upload(tmp_path: Path) -> None:
    film, state = tmp_path / "a.avi", tmp_path / "state"
    film.write_text("x")
    with slot_for(state, "http://x", film) as first:
        first.save(REF)
        with slot_for(state, "http://x", film) as second:
            assert second.upload is None
            second.save(UploadRef(upload_id="other", key="k", part_size=1))
    with slot_for(state, "http://x", film) as third:
        assert third.upload == REF


def test_a_place_that_can_not_be_written_only_means_that_nothing_is_remembered(tmp_path: Path) -> None:
    film = tmp_path / "a.avi"
    film.write_text("x")
    with slot_for(film / "no directory", "http://x", film) as slot:
        slot.save(REF)
        slot.clear()
        assert slot.upload is None


# --- words ---


def test_sizes_and_times_are_written_for_people() -> None:
    assert [size_text(n) for n in (None, 0, 999, 1000, 1_536_000, 999_999_999, 2.5e12)] == [
        "", "0 B", "999 B", "1 kB", "1.54 MB", "1000 MB", "2.5 TB",
    ]  # fmt: skip
    assert [time_text(s) for s in (None, 0, 0.25, 9.5, 59, 65, 3723)] == [
        "", "0 s", "0.2 s", "9.5 s", "59 s", "1:05", "1:02:03",
    ]  # fmt: skip
    now = datetime(2026, 11, 24, tzinfo=UTC)
    ages = [age_text(now - timedelta(seconds=s), now) for s in (0, 59, 60, 7200, 200_000)]
    assert ages == ["now", "59s", "1m", "2h", "2d"]


def test_names_of_others_can_not_move_the_cursor() -> None:
    assert shown("a\x1b[2J\r\nb\u202e.avi") == "a�[2J��b�.avi"
    assert shown("Füße 日本.avi") == "Füße 日本.avi"
    assert shown("x" * 50 + "end.avi", 20) == "xxxxxxxxxxxxx…nd.avi"
    assert len(shown("x" * 50, 20)) == 20
