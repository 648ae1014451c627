"""What became of missions and sites: calendars, results, lessons, and months in review."""
