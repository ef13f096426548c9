"""Files changed at random, read as a user's would be: what comes back, and how.

Every mutant of a file is a function of its number. It is right to refuse it in a sentence, or to
read what was written before it was changed; of a text, what the text says now. All else counts as a
fault: a traceback, a hang, a number that changed without a word.
"""
