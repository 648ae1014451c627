"""Text and HTML from outside: bounded, cleaned, cut, decoded and illustrated by one set of rules."""
