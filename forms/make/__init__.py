"""Making templates: boxes detected on a blank, blanks learnt from scans, drafts, remarks."""
