"""What the system adds to bare ffmpeg: many clips, one short job, and streams that need no encoding."""
