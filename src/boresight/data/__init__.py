"""From public layouts to records on disk and back: import, check, show, export, pair."""
