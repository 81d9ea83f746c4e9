"""Segments: visits of a past hour or day, column by column, as questions with filters read them.

What a row for each visit costs to read, a column of numbers does not: a question reads the columns that it names, of
whole days at once, and works them out with NumPy. Segments say nothing that `visits` does not say; they are made of
them wherever an hour has changed, and where one is not up to date the visits themselves are read.
"""
