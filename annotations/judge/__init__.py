"""A language model as rater: what it is asked, what it answered, what that cost.

Its answers lie in the same rating tables as people's; `judge_call` keeps beside them the exact
prompt, the raw reply and the status of every call, so that nothing has to be asked twice and no
failure turns into a number.
"""
