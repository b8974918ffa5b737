"""What an input may be, whoever made it."""

from typing import Final

MAX_STREAMS: Final = 256
MAX_PIXELS: Final = 8192 * 4352  # 8K, with room for the padding of coders

# Containers and bare streams that hold their media themselves.  Not among them: everything that names other
# files or addresses (hls, dash, concat, image2, sdp, imf), renders text (tty, subtitles alone), runs scripts
# (lavfi, avisynth, svg) or opens devices.
DEMUXERS: Final = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,mxf,nut,rm,wtv,gxf,dv,ivf,obu,h264,hevc,m4v,mjpeg,"
    "vc1,yuv4mpegpipe,gif,apng,png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,mp3,aac,ac3,eac3,dts,truehd,flac,wav,"
    "w64,aiff,au,caf,amr,amrnb,amrwb,ape,tta,wv,tak,mpc,mpc8,dsf,av1"
)
