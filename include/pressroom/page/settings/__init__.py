"""Settings of sites, missions, flows and voices, as forms."""
