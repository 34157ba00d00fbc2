"""What all readers share: from columns to runs, and who reads which file."""
