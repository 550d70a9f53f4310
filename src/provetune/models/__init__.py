"""Models behind the small protocols: transformers (+ PEFT), linear, scripted; tokenizers without torch."""
