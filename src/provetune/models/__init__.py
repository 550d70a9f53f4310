"""Models behind the small protocols: transformers (+ PEFT), linear, scripted; tokenizers without torch."""

from __future__ import annotations

import logging

# PEFT imports bitsandbytes where it is installed, which then warns of a faster kernel that nobody asked for
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
