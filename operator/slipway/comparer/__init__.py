"""The comparer: asks a candidate what users asked stable, compares the answers, and counts.

What belongs here: everything that touches a copied request or answer. Users' traffic does not pass
here, so that whatever becomes of this process, no user is answered later or otherwise. Start with
`main`, `takes` receives copies, `pair` judges one, `ledger` counts.
"""
