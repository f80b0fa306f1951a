"""The audio challenge: digits in speech and noise, for those who do not see the image."""

from cloud_server.captcha.audio.mix import SoundStyle
from cloud_server.captcha.audio.speaker import DigitSpeaker, open_speaker
from cloud_server.captcha.audio.words import match_language

__all__ = ["DigitSpeaker", "SoundStyle", "match_language", "open_speaker"]
