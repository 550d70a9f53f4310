"""Step labelling: annotators, votes, queues, agreement, consensus; a local page, spreadsheets and other tools' files."""
