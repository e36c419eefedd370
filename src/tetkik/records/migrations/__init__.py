"""The steps that bring a database to the tables of this version.

A released step is frozen: databases in hospitals stand at it, and nothing would bring them what an edit adds.
Whatever changes later is a new module in `versions`, whose `down_revision` names the last one;
`migrate.NEWEST` names it in turn. Steps have four digits, so that their names are in their order.
"""
