"""Plans as whole commands, compared exactly: what runs is what is written here."""

from dataclasses import replace
from fractions import Fraction

from services.transcoder.media import AudioStream
from services.transcoder.plan import Capabilities
from tests.unit.transcoder.samples import ABLE, AUDIO, MKV, PICTURES, TEXT, argv, film, plan

BEGIN = "ffmpeg -hide_banner -nostdin -nostats -loglevel repeat+level+warning -progress pipe:1 -stats_period 0.25 -y "
READ = "-protocol_whitelist file -format_whitelist matroska -max_streams 256 -max_pixels 35651584 -threads 2 "
WRITE_MP4 = (
    "-disposition:a:0 +default -movflags +faststart -write_tmcd 0 -max_muxing_queue_size 4096 -f mp4 file:output.mp4 "
)
SMALL_SCALE = "scale=320:180:out_color_matrix=bt601:out_range=pc,setsar=1,format=yuv420p "
SMALL_WRITE = (
    "-frames:v 1 -fps_mode passthrough -map_metadata -1 -c:v mjpeg -q:v 5 -strict unofficial -color_range pc "
    "-update 1 -f image2 file:thumbnail.jpg"
)
SMALL = "-map 0:0 -filter:v select=gte(t\\,6)," + SMALL_SCALE + SMALL_WRITE
AVI = film(container="avi")
NO_THREADS = Capabilities(ABLE.encoders, ABLE.filters)


def test_a_long_copy_takes_its_thumbnail_in_a_run_of_its_own() -> None:
    made = plan(replace(MKV, duration_s=600.0))
    (one,) = made.passes

    assert " ".join(one.argv) == (
        BEGIN + READ + "-i file:input -map 0:0 -c:v:0 copy -map 0:1 -c:a:0 copy " + WRITE_MP4.rstrip()
    )
    assert made.aside is not None
    assert " ".join(made.aside.argv) == (
        BEGIN + READ + "-skip_frame:v nokey -ss 10 -noaccurate_seek -i file:input "
        "-map 0:0 -filter:v " + SMALL_SCALE + SMALL_WRITE
    )


def test_a_short_copy_takes_its_thumbnail_on_the_way() -> None:
    made = plan(MKV)
    (one,) = made.passes

    assert made.aside is None
    assert " ".join(one.argv) == (
        BEGIN + READ + "-i file:input " + READ + "-skip_frame:v nokey -ss 6 -noaccurate_seek -i file:input "
        "-map 0:0 -c:v:0 copy -map 0:1 -c:a:0 copy " + WRITE_MP4 + "-map 1:0 -filter:v " + SMALL_SCALE + SMALL_WRITE
    )


def test_encode_takes_its_thumbnail_from_what_is_decoded_anyway() -> None:
    (one,) = plan(AVI).passes

    assert " ".join(one.argv) == (
        BEGIN + READ.replace("matroska", "avi") + "-i file:input "
        "-map 0:0 -filter:v:0 format=yuv420p "
        "-c:v:0 libx264 -preset medium -crf 23 -profile:v high -threads:v:0 2 -fps_mode:v:0 vfr "
        "-map 0:1 -filter:a:0 aresample=async=1:first_pts=0,aformat=sample_rates=48000:channel_layouts=stereo "
        "-c:a:0 aac -b:a:0 160k " + WRITE_MP4 + SMALL
    )


def test_threads_are_left_to_the_encoder_unless_given() -> None:
    assert "-threads" not in " ".join(plan(AVI, "mp4", NO_THREADS).passes[0].argv)


def test_qualities() -> None:
    wanted = {
        ("fast", "h264"): "libx264 -preset veryfast -crf 24 -profile:v high -threads:v:0 2",
        ("best", "h264"): "libx264 -preset slow -crf 18 -profile:v high -threads:v:0 2",
        (30, "h264"): "libx264 -preset medium -crf 30 -profile:v high -threads:v:0 2",
        ("fast", "hevc"): "libx265 -preset veryfast -crf 28 -x265-params log-level=error:pools=2 -tag:v:0 hvc1",
        (30, "av1"): "libsvtav1 -preset 9 -crf 30 -svtav1-params lp=2",
        ("best", "vp9"): "libvpx-vp9 -deadline good -cpu-used 2 -row-mt 1 -crf 27 -b:v 0 -threads:v:0 2",
    }
    for (quality, codec), expected in wanted.items():
        words = " ".join(argv(plan(AVI, "mp4", video=codec, quality=quality)))
        assert f"-c:v:0 {expected} -fps_mode:v:0 vfr" in words


def test_size_rate_and_piece() -> None:
    made = plan(MKV, max_height=480, fps=12.5, trim={"start_s": 3.5, "end_s": 20})
    words = " ".join(made.passes[0].argv)

    assert READ + "-ss 3.5 -t 16.5 -i file:input " in words
    assert "-filter:v:0 fps=25/2,scale=854:480,setsar=1,format=yuv420p " in words
    assert made.expected.duration_s == 16.5


def test_two_passes() -> None:
    first, second = plan(MKV, two_pass={"bitrate_kbps": 800}, audio="none").passes
    encoder = (
        "-map 0:0 -filter:v:0 format=yuv420p -c:v:0 libx264 -preset medium -b:v 800000 -profile:v high "
        "-pass {} -passlogfile passlog -threads:v:0 2 -fps_mode:v:0 vfr "
    )
    end = "-movflags +faststart -write_tmcd 0 -max_muxing_queue_size 4096 -f mp4 file:output.mp4 "

    assert (first.name, second.name) == ("analyse", "convert")
    assert " ".join(first.argv) == BEGIN + READ + "-i file:input " + encoder.format(1) + "-an -sn -f null -"
    assert " ".join(second.argv) == BEGIN + READ + "-i file:input " + encoder.format(2) + end + SMALL


def test_hevc_takes_its_passes_by_its_own_name() -> None:
    first, second = plan(MKV, video="hevc", two_pass={"target_size": "20MB"}).passes

    assert "log-level=error:pools=2:pass=1:stats=passlog" in first.argv
    assert "log-level=error:pools=2:pass=2:stats=passlog" in second.argv


def test_gif_finds_its_colours_first() -> None:
    palette, convert = plan(AVI, "gif").passes
    chain = "select=isnan(prev_selected_t)+gte(t-prev_selected_t\\,0.066600),scale=853:480,setsar=1"

    assert " ".join(palette.argv) == (
        BEGIN + READ.replace("matroska", "avi") + "-i file:input "
        f"-filter_complex [0:0]{chain},split[counted][seen];[seen]palettegen=stats_mode=diff[colours] "
        "-map [counted] -f null - "
        "-map [colours] -frames:v 1 -update 1 -c:v png -f image2 file:palette.png"
    )
    assert " ".join(convert.argv) == (
        BEGIN + READ.replace("matroska", "avi") + "-i file:input "
        "-protocol_whitelist file -f png_pipe -i file:palette.png "
        f"-filter_complex [0:0]{chain}[seen];"
        "[seen][1:0]paletteuse=dither=bayer:bayer_scale=4:diff_mode=rectangle[out] "
        "-map [out] -c:v gif -fps_mode:v:0 vfr -loop 0 -max_muxing_queue_size 4096 -f gif file:output.gif"
    )


def test_webp_tells_its_progress_by_a_second_output() -> None:
    (one,) = plan(film(width=320, height=240, frame_rate=Fraction(10)), "webp").passes

    assert " ".join(argv(plan(film(width=320, height=240, frame_rate=Fraction(10)), "webp"))) == (
        "-filter_complex [0:0]format=bgra,split[out][counted] -map [out] "
        "-c:v:0 libwebp_anim -compression_level 4 -quality 75 -fps_mode:v:0 vfr "
        "-loop 0 -max_muxing_queue_size 4096 -f webp file:output.webp"
    )
    assert one.argv[-5:] == ("-map", "[counted]", "-f", "null", "-")


def test_every_track_and_its_marks() -> None:
    second = replace(AUDIO, index=2, codec="ac3", channels=6, layout="5.1(side)", language="fra", default=True)
    info = replace(MKV, audio=(replace(AUDIO, default=False), second), subtitles=(replace(TEXT, index=3),))

    assert " ".join(argv(plan(info))) == (
        "-map 0:0 -c:v:0 copy "
        "-map 0:1 -c:a:0 copy "
        "-map 0:2 -filter:a:1 aresample=async=1:first_pts=0,aformat=sample_rates=48000:channel_layouts=5.1 "
        "-c:a:1 aac -b:a:1 384k "
        "-map 0:3 -c:s:0 mov_text "
        "-disposition:a:0 -default -disposition:a:1 +default "
        "-movflags +faststart -write_tmcd 0 -max_muxing_queue_size 4096 -f mp4 file:output.mp4"
    )


def test_stripped_metadata_leaves_languages() -> None:
    info = replace(MKV, audio=(replace(AUDIO, language="fra"),), subtitles=(TEXT,))

    words = " ".join(argv(plan(info, metadata="strip")))

    assert "-map_metadata -1 -map_chapters -1 -metadata:s:a:0 language=fra -metadata:s:s:0 language=deu " in words


def test_loudness_is_measured_before_anything_else() -> None:
    made = plan(MKV, audio={"normalize": True})

    assert made.measures == (1,)
    assert " ".join(made.passes[0].argv) == (
        BEGIN.replace("warning", "info") + READ + "-i file:input "
        "-map 0:1 -filter:a:0 loudnorm@track1=I=-16:TP=-1.5:LRA=11:print_format=json -f null -"
    )


def test_text_is_drawn_from_the_input_itself() -> None:
    info = replace(MKV, subtitles=(TEXT,))

    assert "-filter:v:0 subtitles=filename=input:stream_index=0,format=yuv420p " in " ".join(
        argv(plan(info, subtitles="burn"))
    )
    piece = " ".join(argv(plan(info, subtitles="burn", trim={"start_s": 5})))
    assert "-filter:v:0 setpts=PTS+5/TB,subtitles=filename=input:stream_index=0,setpts=PTS-5/TB,format=" in piece
    assert " -bsf:v:0 setts=pts=PTS:dts=DTS:duration=" in piece
    assert "-bsf" not in argv(plan(info, "mkv", subtitles="burn", trim={"start_s": 5}))


def test_pictures_of_text_are_laid_over() -> None:
    words = " ".join(argv(plan(replace(MKV, subtitles=(PICTURES,)), subtitles="burn")))

    assert words.startswith(
        "-filter_complex [0:0][0:2]overlay=eof_action=pass,format=yuv420p[out] -map [out] -c:v:0 libx264 "
    )


def test_avi_counts_its_pauses_in_frames() -> None:
    words = " ".join(argv(plan(MKV, "avi")))

    assert "-c:v:0 mpeg4 -vtag xvid -q:v 4 -threads:v:0 2 -fps_mode:v:0 vfr -enc_time_base 1/25 " in words


def test_sound_alone() -> None:
    info = replace(MKV, video=(), audio=(AudioStream(index=0, codec="flac", channels=2, sample_rate=96000),))

    assert " ".join(argv(plan(info, "mp3"))) == (
        "-map 0:0 -filter:a:0 aresample=async=1:first_pts=0,aformat=sample_rates=48000:channel_layouts=stereo "
        "-c:a:0 libmp3lame -b:a:0 192k -disposition:a:0 +default -max_muxing_queue_size 4096 -f mp3 file:output.mp3"
    )
