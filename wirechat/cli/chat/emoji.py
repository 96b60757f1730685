"""The emoji one meets most, by short name. Any other can be typed or pasted."""

from typing import Final

__all__ = ["EMOJI", "QUICK"]

EMOJI: Final = {
    "thumbsup": "👍", "heart": "❤️", "joy": "😂", "tada": "🎉", "eyes": "👀", "pray": "🙏", "fire": "🔥", "clap": "👏",
    "smile": "😊", "grin": "😁", "wink": "😉", "thinking": "🤔", "sob": "😭", "cry": "😢", "scream": "😱",
    "cool": "😎", "love": "😍", "kiss": "😘", "hug": "🤗", "shrug": "🤷", "facepalm": "🤦", "sleep": "😴", "sick": "🤢",
    "party": "🥳", "star": "⭐", "sparkles": "✨", "rocket": "🚀", "check": "✅", "cross": "❌", "warning": "⚠️",
    "question": "❓", "idea": "💡", "bug": "🐛", "ok": "👌", "wave": "👋", "muscle": "💪", "thumbsdown": "👎",
    "coffee": "☕", "tea": "🍵", "cake": "🍰", "beer": "🍺", "pizza": "🍕", "rose": "🌹", "sun": "☀️", "rain": "🌧️",
    "angry": "😠", "cat": "🐱", "dog": "🐶", "rabbit": "🐇", "hundred": "💯", "skull": "💀",
    "robot": "🤖", "book": "📖",
}  # fmt: skip

QUICK: Final = ("👍", "❤️", "😂", "🎉", "👀", "🙏", "🔥")
"""What the picker offers first."""
