"""The parts of the screen. Rules: a widget draws what it is given and says what the person did; it decides nothing."""
