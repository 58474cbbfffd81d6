"""Jobs at the desk: the list with live progress, submitting, stopping, results."""
