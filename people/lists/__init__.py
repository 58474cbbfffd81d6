"""Lists that people fill in: as a spreadsheet, as CSV, or as a page for the browser."""
