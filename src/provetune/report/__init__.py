"""The report: one offline HTML page, written from records only."""
