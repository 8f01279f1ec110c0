"""The dashboard: pages in a browser about the runs of one store, which are only read.

Belongs here: the server, what it answers, who may ask, and the pages. The numbers and figures are those of reporting.
Forbidden here: changing anything in the store, numbers of its own, and addresses outside of the server in a page.
"""
