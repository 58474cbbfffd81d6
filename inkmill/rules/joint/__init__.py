"""Joint decoding: the odds of all fields that checks tie together.

Options of fields and constraints between them flow in, odds of each field's values flow out, for
`inkmill.rules.evidence`, which makes both from cells, rules and checks. ``decode`` is the entrance
and weighs all assignments; ``balances`` keeps how far each unfinished check is from balance. Pure
Python, without any record of ours.
"""
