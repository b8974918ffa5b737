"""The transcoder: takes work from the broker, converts it with ffmpeg, and puts the result into the store."""
