"""`maicivy import log`: access logs become page views, through the same inbox as everything else.

source.py    files, pipes and gzip as lines
importer.py  the use case: lines -> page views -> inbox
command.py   the command line
"""
