"""The dashboard: what a view of a site shows, made of answers of the query engine. No HTTP, no SQL."""
