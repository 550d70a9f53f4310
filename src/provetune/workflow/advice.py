"""What a reader's message should advise where there is no project file yet."""

from __future__ import annotations

# what the readers advise for a project file that is not there yet -> what helps now
_ADVICE = (
    ("name both with data.columns, e.g. columns: {prompt: ..., target: ...}", "name both with --prompt NAME and --target NAME"),
    ("name another column with data.columns.id", "rename the column if it is no id"),
    ("name one with data.columns.target", "name one with --target NAME"),
    ("; correct data.columns", "; correct --prompt or --target"),
    ("; change the row or data.columns", "; change the row"),
    ("data.columns.prompt: found", "--prompt: found"),
    ("data.columns.target: found", "--target: found"),
    ("; remove it or set data.format", "; remove the option"),
    ("with data.columns", "with --prompt NAME and --target NAME"),
    (" (data.path in a project file)", ""),
    ("set task.type to chat", "repeat with --task chat"),
    ("set task.type", "repeat with --task"),
)


def advice_at_start(message: str) -> str:
    """A reader's message with advice that needs no project file.

    >>> advice_at_start("a.csv:1: no usual name is the prompt column; correct data.columns")
    'a.csv:1: no usual name is the prompt column; correct --prompt or --target'
    """
    for told, helps in _ADVICE:
        message = message.replace(told, helps)
    return message
