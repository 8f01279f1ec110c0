"""`make release`: everything that is published of a commit, in one folder, the same to the byte when it is built again.

What belongs here: the order of the steps, and for each kind of artifact how it is built without times, names or an
order of the machine in it. Nothing of the product imports it.
"""
