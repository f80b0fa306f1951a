"""The leak gate: trained attackers try to tell who is in the photo from what a wire level sends."""
