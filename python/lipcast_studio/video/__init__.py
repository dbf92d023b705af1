"""Videos in and out, by the ffmpeg command: any recording becomes upright 25 frames/s and 16 kHz sound."""
